"""What all events of one file have in common, checked before an event is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from lartpc_sparse.data.event import Event

__all__ = ["EventSchema"]

Columns = dict[str, Shaped[np.ndarray, "_ ..."]]


class EventSchema:
    """Image size, classes and columns of a file.

    Label columns are fixed by the first event that has voxels or labels, particle columns by the first with a
    particle table; an event without voxels may lack labels, and any event may lack the particle table.

    Attributes:
        labels: types of the label columns, int64 or float32; None: not known yet.
        particles: types and row shapes of the particle columns; None: not known yet.
    """

    def __init__(self, path: Path, image_size: tuple[int, ...], classes: tuple[str, ...]) -> None:
        self._path, self._image_size, self._classes = path, image_size, classes
        self.labels: dict[str, np.dtype[Any]] | None = None
        self.particles: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] | None = None

    def check(self, event: Event) -> tuple[Columns, Columns]:
        """Labels (int64 or float32) and particle columns of an event that fits.

        Raises:
            ValueError: it differs in image size, classes or columns, has coordinates outside the image, energies that
                are not finite, or columns that are not numbers.
        """
        for name, expected in (("image_size", self._image_size), ("classes", self._classes)):
            if tuple(getattr(event, name)) != expected:
                raise ValueError(f"{event.key} has {name} {getattr(event, name)}, {self._path} has {expected}")
        if not ((event.coords >= 0) & (event.coords < np.array(self._image_size))).all():
            raise ValueError(f"{event.key}: coords outside the image of size {self._image_size}")
        if not np.isfinite(event.energy).all():
            raise ValueError(f"{event.key}: energy is not finite")
        labels, particles = self._check_labels(event), self._check_particles(event)
        if self.labels is None and (len(event) or labels):
            self.labels = {name: column.dtype for name, column in labels.items()}
        if self.particles is None and particles:
            self.particles = {name: (column.dtype, column.shape[1:]) for name, column in particles.items()}
        return labels, particles

    def _check_labels(self, event: Event) -> Columns:
        if not len(event) and not event.labels:
            return {}
        bad = [name for name, column in event.labels.items() if column.dtype.kind not in "biuf"]
        if bad:
            raise ValueError(f"{event.key}: labels {bad} are not whole or float numbers")
        semantic = event.labels.get("semantic", np.zeros(0, dtype=np.int64))
        if not ((semantic >= -1) & (semantic < len(self._classes))).all():
            raise ValueError(f"{event.key}: semantic outside -1..{len(self._classes) - 1}")
        labels = {
            name: column.astype(np.float32 if column.dtype.kind == "f" else np.int64)
            for name, column in event.labels.items()
        }
        found = {name: column.dtype for name, column in labels.items()}
        if self.labels is not None and found != self.labels:
            raise ValueError(f"{event.key} has labels {_listed(found)}, {self._path} has {_listed(self.labels)}")
        return labels

    def _check_particles(self, event: Event) -> Columns:
        columns = {name: np.asarray(column) for name, column in event.particles.items()}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = {name: len(column) for name, column in columns.items()}
            raise ValueError(f"{event.key}: particle columns of different lengths {lengths}")
        bad = [name for name, column in columns.items() if column.dtype.kind not in "biuf"]
        if bad:
            raise ValueError(f"{event.key}: particle columns {bad} are not numbers")
        found = {name: (column.dtype, column.shape[1:]) for name, column in columns.items()}
        if columns and self.particles is not None and found != self.particles:
            raise ValueError(f"{event.key} has particle columns {found}, {self._path} has {self.particles}")
        return columns


def _listed(labels: dict[str, np.dtype[Any]]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in sorted(labels.items())) or "none"
