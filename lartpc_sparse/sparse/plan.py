"""The plan of a batch: its voxels at every resolution and the kernel maps between them, built once."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Int32, Int64
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.kernel import per_axis
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.level import Level

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Levels and kernel maps of one batch; each is built when first asked for, kept, and shared by all layers.

    Build one with `Plan.build`.
    """

    engine: Engine
    _levels: dict[tuple[int, ...], Level] = field(repr=False)
    _maps: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], KernelMap] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def build(
        cls,
        coords: Int32[Tensor, "N D"],
        offsets: Int64[Tensor, " B1"],
        engine: Engine | None = None,
    ) -> Plan:
        """Plan of the voxels `coords`, the rows of event b being `offsets[b]:offsets[b+1]`; any order, no repeats.

        Raises:
            ValueError: duplicate voxels, offsets that do not fit, coordinates that a packed key cannot hold.
        """
        engine = engine or TorchEngine()
        level = Level(coords, offsets, (1,) * coords.shape[1])
        count, row = engine.duplicates(level)
        if count:
            raise ValueError(
                f"{count} duplicate voxels, the first at {coords[row].tolist()} of event "
                f"{int(level.batch_index[row])}; merge them before building a plan"
            )
        return cls(engine, {level.stride: level})

    @property
    def dim(self) -> int:
        """Number of axes D."""
        return len(next(iter(self._levels)))

    def level(self, stride: tuple[int, ...]) -> Level:
        """The level at a cumulative stride that a strided layer has reached.

        Raises:
            KeyError: no layer has reached this stride.
        """
        if stride not in self._levels:
            raise KeyError(f"no level of stride {stride}; this plan has {sorted(self._levels)}")
        return self._levels[stride]

    def coarser(self, stride: tuple[int, ...], step: tuple[int, ...]) -> Level:
        """The level `step` times coarser than the one at `stride`."""
        step = per_axis(step, self.dim, "step")
        target = tuple(have * more for have, more in zip(stride, step, strict=True))
        if target not in self._levels:
            self._levels[target] = self.engine.coarsen(self.level(stride), step)
        return self._levels[target]

    def submanifold_map(self, stride: tuple[int, ...], kernel_size: tuple[int, ...]) -> KernelMap:
        """Map of a submanifold convolution on the level at `stride`.

        Raises:
            ValueError: a kernel of another dimension, an even or a too large one.
        """
        kernel_size = per_axis(kernel_size, self.dim, "kernel_size")
        where = (stride, kernel_size, (1,) * self.dim)
        if where not in self._maps:
            self._maps[where] = self.engine.submanifold_map(self.level(stride), kernel_size)
        return self._maps[where]

    def strided_map(self, stride: tuple[int, ...], kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """Map from the level at `stride` to the one `step` times coarser.

        Raises:
            ValueError: step 1 along every axis (that is a submanifold convolution), or sizes of another dimension.
        """
        kernel_size, step = per_axis(kernel_size, self.dim, "kernel_size"), per_axis(step, self.dim, "step")
        if max(step) == 1:
            raise ValueError("a strided map needs a step above 1 along some axis")
        where = (stride, kernel_size, step)
        if where not in self._maps:
            coarse = self.coarser(stride, step)
            self._maps[where] = self.engine.strided_map(self.level(stride), coarse, kernel_size, step)
        return self._maps[where]
