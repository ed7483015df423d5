"""What the events of a reader are like: sizes, classes, energies, particles, and what is odd about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.progress import track
from lartpc_sparse.schema import BadEventError

__all__ = ["summarise"]

QUANTILES = {"min": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "max": 1.0}
ENERGIES_AN_EVENT = 1000
"""Energies of an event that count for the quantiles, chosen at random; sums and extremes are exact."""
NAMED = 5
"""Bad events that are named."""


def summarise(reader: Reader, max_events: int) -> dict[str, Any]:
    """Figures of the events as plain values, for a table or JSON.

    Args:
        reader: the events.
        max_events: of more events a random part is read, always the same one.

    Returns:
        `events`, `looked_at`, `image_size`, `voxels_per_event`, `empty_events`, and of the events that were read:
        `occupied`, `energy`, `event_energy`, `classes` (fraction of the voxels), `labels`, `particles_per_event`,
        `particle_columns`, `oddities`, `bad_events`.
    """
    counts, number = reader.num_voxels(), len(reader)
    chosen = np.arange(number)
    if number > max_events:
        chosen = np.sort(np.random.default_rng(0).choice(number, max_events, replace=False))
    seen = _Seen(reader.image_size, reader.classes)
    with track("look at events", total=len(chosen)) as bar:
        for index in chosen.tolist():
            try:
                seen.add(reader.read(index), index)
            except BadEventError as error:
                seen.bad.append(str(error))
            bar.advance()
    return {
        "events": number,
        "looked_at": len(chosen),
        "image_size": list(reader.image_size),
        "voxel_size_mm": getattr(reader, "voxel_size_mm", None),
        "voxels": int(counts.sum()),
        "voxels_per_event": _quantiles(counts),
        "empty_events": int((counts == 0).sum()),
        **seen.figures(),
    }


@dataclass
class _Seen:
    """Sums over the events read so far."""

    image_size: tuple[int, ...]
    classes: tuple[str, ...]
    bad: list[str] = field(default_factory=list)
    events: int = 0
    low: Int64[np.ndarray, " D"] | None = None
    high: Int64[np.ndarray, " D"] | None = None
    class_voxels: Counter[int] = field(default_factory=Counter)
    voxels: int = 0
    energies: list[np.ndarray] = field(default_factory=list)
    energy_sums: list[float] = field(default_factory=list)
    energy_low: float = np.inf
    energy_high: float = -np.inf
    particles: list[int] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    labels: dict[str, list[float]] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)

    def add(self, event: Event, index: int) -> None:
        """Count an event."""
        self.events += 1
        self.particles.append(max((len(column) for column in event.particles.values()), default=0))
        self.columns |= {name: str(column.dtype) for name, column in event.particles.items()}
        self.energy_sums.append(float(event.energy.sum(dtype=np.float64)))
        if not len(event):
            return
        self.voxels += len(event)
        low, high = event.coords.min(axis=0).astype(np.int64), event.coords.max(axis=0).astype(np.int64)
        self.low = low if self.low is None else np.minimum(self.low, low)
        self.high = high if self.high is None else np.maximum(self.high, high)
        self._energies(event, index)
        self._labels(event)
        self._order(event)

    def _energies(self, event: Event, index: int) -> None:
        energy = event.energy
        self.energy_low = min(self.energy_low, float(energy.min()))
        self.energy_high = max(self.energy_high, float(energy.max()))
        self.odd["voxels with negative energy"] += int((energy < 0).sum())
        self.odd["voxels with energy 0"] += int((energy == 0).sum())
        part = energy
        if len(energy) > ENERGIES_AN_EVENT:
            part = np.random.default_rng(index).choice(energy, ENERGIES_AN_EVENT, replace=False)
        self.energies.append(part.astype(np.float64))

    def _labels(self, event: Event) -> None:
        for name, column in event.labels.items():
            span = self.labels.setdefault(name, [np.inf, -np.inf])
            span[:] = [min(span[0], float(column.min())), max(span[1], float(column.max()))]
        for name in ("semantic", "instance"):
            self.odd[f"events without the label {name}"] += name not in event.labels
        if "semantic" in event.labels:
            values, counts = np.unique(event.labels["semantic"], return_counts=True)
            self.class_voxels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def _order(self, event: Event) -> None:
        ids = np.ravel_multi_index(tuple(event.coords.T), self.image_size)
        steps = np.diff(ids)
        self.odd["events whose voxels are not in order"] += bool((steps < 0).any())
        twice = len(ids) - len(np.unique(ids))
        self.odd["events with a voxel more than once"] += twice > 0
        self.odd["voxels that repeat another"] += twice

    def figures(self) -> dict[str, Any]:
        """The figures of what was read."""
        energies = np.concatenate([np.zeros(0), *self.energies])
        spread = _quantiles(energies)
        if len(energies):
            spread |= {"min": self.energy_low, "max": self.energy_high}
        names = {-1: "not labelled", **dict(enumerate(self.classes))}
        labelled = max(sum(self.class_voxels.values()), 1)
        return {
            "read_voxels": self.voxels,
            "occupied": None if self.low is None or self.high is None else [self.low.tolist(), self.high.tolist()],
            "energy": spread,
            "event_energy": _quantiles(np.array(self.energy_sums)),
            "classes": {
                name: self.class_voxels[value] / labelled
                for value, name in names.items()
                if value >= 0 or self.class_voxels[value]
            },
            "labels": dict(sorted(self.labels.items())),
            "particles_per_event": _quantiles(np.array(self.particles)),
            "particle_columns": self.columns,
            "oddities": {name: count for name, count in self.odd.items() if count},
            "bad_events": {"number": len(self.bad), "first": self.bad[:NAMED]},
        }


def _quantiles(values: Float[np.ndarray, " N"] | Int64[np.ndarray, " N"]) -> dict[str, float]:
    if not len(values):
        return {}
    found = np.quantile(values, list(QUANTILES.values())).tolist()
    return dict(zip(QUANTILES, found, strict=True))
