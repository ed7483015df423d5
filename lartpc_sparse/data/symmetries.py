"""Symmetric copies of a batch: mirrored and turned images, and the way back, voxel by voxel."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.transforms.geometry import Axes, chosen_axes, equal_axes, mirrored
from lartpc_sparse.schema import Config

__all__ = ["SymmetricCopy", "SymmetryConfig", "moved_batch", "symmetries"]


class SymmetryConfig(Config):
    """Symmetries of the image under which a prediction is averaged."""

    symmetries: Literal["flips", "permutations", "rotations", "all"] = Field(
        "flips",
        description="mirror each axis (8 copies in 3D, 4 in 2D); exchange axes (6, 2); turn by 90 degrees (24, 4); all "
        "of them (48, 8). All but flips need axes of equal length",
    )
    axes: Axes | None = Field(None, description="axes that take part, from 0; null: all")
    count: int | None = Field(
        None, ge=1, description="so many copies, always the same: the image itself, the others drawn; null: every one"
    )


@dataclass(frozen=True)
class SymmetricCopy:
    """A batch as seen after a symmetry.

    Attributes:
        batch: moved voxels in the order of batches.
        rows: row of each voxel of the original batch in the moved one.
    """

    batch: Batch
    rows: Int64[Tensor, " N"]


def symmetries(config: SymmetryConfig, image_size: tuple[int, ...]) -> tuple[Frame, ...]:
    """The chosen symmetries of an image, the identity first, each once.

    Raises:
        UserError: the image does not have one of the axes, or axes that are exchanged are not equally long.
    """
    dim, name = len(image_size), f"predict.augmentation (symmetries: {config.symmetries})"
    flips = config.symmetries == "flips"
    axes = chosen_axes(config.axes, dim, name) if flips else equal_axes(config.axes, image_size, name)
    found = [mirrored(image_size, *step) for step in _steps(config.symmetries, axes, dim)]
    if config.count is None or config.count >= len(found):
        return tuple(found)
    drawn = np.random.default_rng(0).permutation(len(found) - 1)[: config.count - 1] + 1
    return (found[0], *(found[number] for number in sorted(drawn.tolist())))


def _steps(kind: str, axes: tuple[int, ...], dim: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Source axis and sign of every axis, for every symmetry; the identity is the first."""
    orders = [axes] if kind == "flips" else list(itertools.permutations(axes))
    signs = [(1,) * len(axes)] if kind == "permutations" else list(itertools.product((1, -1), repeat=len(axes)))
    for order, signed in itertools.product(orders, signs):
        source, sign = list(range(dim)), [1] * dim
        for axis, place, turned in zip(axes, order, signed, strict=True):
            source[axis], sign[axis] = place, turned
        if kind != "rotations" or _determinant(source, sign) > 0:
            yield tuple(source), tuple(sign)


def _determinant(source: list[int], sign: list[int]) -> int:
    swaps = sum(first > second for first, second in itertools.combinations(source, 2))
    return int(np.prod(sign)) * (-1 if swaps % 2 else 1)


def moved_batch(batch: Batch, frame: Frame) -> SymmetricCopy:
    """The batch with its voxels moved inside an image of the same size; without the numpy events."""
    device = batch.coords.device
    coords = batch.coords[:, list(frame.axes)] * torch.tensor(frame.signs, dtype=torch.int32, device=device)
    coords = coords + torch.tensor(frame.shift, dtype=torch.int32, device=device)
    key = batch.batch_index()
    for axis, size in enumerate(batch.image_size):
        key = key * size + coords[:, axis]
    order = torch.argsort(key)
    rows = torch.empty_like(order)
    rows[order] = torch.arange(len(order), device=device)
    moved = dataclasses.replace(
        batch,
        coords=coords[order],
        feats=batch.feats[order],
        energy=batch.energy[order],
        labels={name: column[order] for name, column in batch.labels.items()},
        events=(),
    )
    return SymmetricCopy(moved, rows)
