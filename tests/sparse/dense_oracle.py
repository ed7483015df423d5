"""The same operations on dense grids with torch's own convolutions and pools: the truth for D = 1 to 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lartpc_sparse.sparse import Level

CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def padding_of(kernel_size: tuple[int, ...]) -> tuple[int, ...]:
    """Odd kernels are centred, even ones start at their voxel."""
    return tuple(size // 2 if size % 2 else 0 for size in kernel_size)


@dataclass(frozen=True)
class Grid:
    """A box around the voxels of a level, wide enough for the kernel; its origin is a multiple of the step."""

    origin: Tensor
    shape: tuple[int, ...]
    num_events: int

    @classmethod
    def around(cls, level: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> Grid:
        steps, sizes = torch.tensor(step), torch.tensor(kernel_size)
        coords = level.coords.cpu().long()
        low = coords.amin(0) if len(coords) else torch.zeros(level.dim, dtype=torch.int64)
        high = coords.amax(0) if len(coords) else low
        origin = (torch.div(low - sizes, steps, rounding_mode="floor") - 1) * steps
        cells = torch.div(high + sizes - origin, steps, rounding_mode="floor") + 2
        return cls(origin, tuple((cells * steps).tolist()), level.num_events)

    def coarser(self, step: tuple[int, ...]) -> Grid:
        """The same box in cells of `step` voxels."""
        cells = tuple(size // many for size, many in zip(self.shape, step, strict=True))
        return Grid(torch.div(self.origin, torch.tensor(step), rounding_mode="floor"), cells, self.num_events)

    def index(self, level: Level) -> tuple[Tensor, ...]:
        """Index of each voxel in a (B, *shape, C) array."""
        return (level.batch_index.cpu(), *(level.coords.cpu().long() - self.origin).unbind(1))

    def fill(self, level: Level, feats: Tensor, empty: float = 0.0) -> Tensor:
        """Dense (B, C, *shape) image of the features; differentiable."""
        image = feats.new_full((self.num_events, *self.shape, feats.shape[1]), empty)
        return image.index_put(self.index(level), feats).movedim(-1, 1)

    def read(self, level: Level, image: Tensor) -> Tensor:
        """Features (N, C) of a dense image at the voxels of a level."""
        return image.movedim(1, -1)[self.index(level)]


def strided_conv(
    feats: Tensor, weight: Tensor, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]
) -> Tensor:
    """Dense convolution read at the voxels of `coarse`; with step 1 and coarse = fine, submanifold."""
    grid = Grid.around(fine, kernel_size, step)
    kernel = weight.permute(2, 1, 0).reshape(weight.shape[2], weight.shape[1], *kernel_size)
    image = CONV[fine.dim](grid.fill(fine, feats), kernel, stride=step, padding=padding_of(kernel_size))
    return grid.coarser(step).read(coarse, image)


def transposed_conv(
    feats: Tensor, weight: Tensor, coarse: Level, fine: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]
) -> Tensor:
    """Dense transposed convolution of the coarse features read at the voxels of `fine`."""
    grid = Grid.around(fine, kernel_size, step)
    kernel = weight.permute(1, 2, 0).reshape(weight.shape[1], weight.shape[2], *kernel_size)
    image = grid.coarser(step).fill(coarse, feats)
    return grid.read(fine, CONV_TRANSPOSE[fine.dim](image, kernel, stride=step, padding=padding_of(kernel_size)))


def pool(
    feats: Tensor, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...], mode: str
) -> Tensor:
    """Dense pooling over active voxels; 0 where the kernel meets none."""
    if mode == "max":
        grid = Grid.around(fine, kernel_size, step)
        image = grid.fill(fine, feats, empty=-torch.inf)
        pooled = MAX_POOL[fine.dim](image, kernel_size, stride=step, padding=padding_of(kernel_size))
        highest = grid.coarser(step).read(coarse, pooled)
        return torch.where(highest.isinf(), 0.0, highest)
    channels = feats.shape[1]
    ones = torch.eye(channels, dtype=feats.dtype).expand(torch.Size(kernel_size).numel(), channels, channels)
    total = strided_conv(feats, ones, fine, coarse, kernel_size, step)
    if mode == "sum":
        return total
    active = strided_conv(torch.ones_like(feats), ones, fine, coarse, kernel_size, step)
    return total / active.clamp(min=1)
