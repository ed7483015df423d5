"""MinkowskiEngine 0.5.4 as an engine: its kernel maps and its convolutions behind our seam.

Source: Choy, Gwak, Savarese, arXiv:1904.08755. The kernel maps, the convolutions and both gradients are the
package's own code. Ours are the voxels of the coarser levels (the package would number them in the order of its
hash table; handed over, they keep our order) and the order of the kernel slots.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lartpc_sparse.sparse.engines.minkowski_package import import_minkowski, reason_unavailable, slots_of_minkowski
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.kernel import axis_offsets, kernel_volume
from lartpc_sparse.sparse.kernel_map import KernelMap, check_reach, check_submanifold
from lartpc_sparse.sparse.level import Level

__all__ = ["MinkowskiEngine", "reason_unavailable"]


@dataclass(frozen=True, eq=False)
class _Place:
    """A level inside one of the package's coordinate managers."""

    manager: Any
    key: Any


@dataclass(frozen=True, eq=False, kw_only=True)
class _MinkowskiMap(KernelMap):
    """A kernel map that knows where the package keeps it.

    Attributes:
        fine, coarse: the levels that it reads from and writes to.
        generator: kernel size and step, as the package takes them.
        slots_there: our slot number of each of the package's slots.
    """

    fine: _Place
    coarse: _Place
    generator: Any
    slots_there: Int64[Tensor, " K"]


@dataclass(frozen=True)
class MinkowskiEngine:
    """Implementation of `Engine` with the MinkowskiEngine package, on the CPU.

    The levels of a plan keep one coordinate manager, which is freed with them. The package computes in float32
    or float64; 16-bit features and weights are multiplied in float32 and the result is rounded. Order of sums, and
    so the last bits, may depend on the number of threads. Coordinates times stride must fit into 32 bits.
    """

    name: str = "minkowski"

    def duplicates(self, level: Level) -> tuple[int, int]:
        """See `Engine.duplicates`."""
        return level.duplicates()

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """See `Engine.coarsen`."""
        coarse = TorchEngine().coarsen(level, step)
        _place(coarse, _place(level).manager)
        return coarse

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """See `Engine.submanifold_map`."""
        check_submanifold(kernel_size)
        return _map(level, level, kernel_size, (1,) * level.dim, identity_slot=kernel_volume(kernel_size) // 2)

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """See `Engine.strided_map`."""
        check_reach(kernel_size, step)
        return _map(fine, coarse, kernel_size, step, identity_slot=None)

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `Engine.convolve`.

        Raises:
            ValueError: a map that this engine did not build: the package needs the voxels behind it.
        """
        built, backwards = _built(kernel_map)
        if kernel_map.num_in == kernel_map.num_out == 0:
            return feats @ weight[0]  # no rows, and gradients of zeros; the package cannot hold an empty level
        package = import_minkowski()
        function = package.MinkowskiConvolutionTransposeFunction if backwards else package.MinkowskiConvolutionFunction
        start, end = (built.coarse, built.fine) if backwards else (built.fine, built.coarse)
        dtype = feats.dtype if feats.dtype in (torch.float32, torch.float64) else torch.float32
        out: Tensor = function.apply(
            feats.to(dtype),
            weight.to(dtype).index_select(0, built.slots_there),
            built.generator,
            importlib.import_module("MinkowskiEngineBackend._C").ConvolutionMode.DEFAULT,
            start.key,
            end.key,
            built.fine.manager,
        )
        return out.to(feats.dtype)


def _place(level: Level, manager: Any = None) -> _Place:
    """Where a level is kept, if need be newly in `manager` or, without one, in a manager of its own."""
    return level.derived("minkowski", lambda level: _insert(level, manager))


def _insert(level: Level, manager: Any) -> _Place:
    """Hand a level over.

    Raises:
        ValueError: voxels on another device than the CPU, the package is missing, or a coordinate beyond 32 bits.
    """
    if (reason := reason_unavailable(level.coords.device)) is not None:
        raise ValueError(reason)
    _check_range(level, [range(1)] * level.dim, level.stride)
    if manager is None:
        package = import_minkowski()
        manager = package.CoordinateManager(D=level.dim, coordinate_map_type=package.CoordinateMapType.CPU)
    scale = torch.tensor(level.stride, dtype=torch.int32)
    rows = torch.cat([level.batch_index[:, None].to(torch.int32), level.coords * scale], dim=1)
    # Distinct rows keep their order: the package numbers them as they come.
    key, _ = manager.insert_and_map(rows.contiguous(), list(level.stride))
    return _Place(manager, key)


def _map(
    fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...], identity_slot: int | None
) -> KernelMap:
    """The package's kernel map, with our slot numbers."""
    _check_range(coarse, [axis_offsets(size) for size in kernel_size], fine.stride)
    start = _place(fine)
    end = _place(coarse, start.manager)
    if end.manager is not start.manager:  # levels that did not come from one another
        end = _insert(coarse, start.manager)
    found: dict[int, Tensor] = {}
    if len(fine):
        found = start.manager.kernel_map(start.key, end.key, stride=step, kernel_size=kernel_size)
    slots_there = slots_of_minkowski(kernel_size)
    slot_there = {here: there for there, here in enumerate(slots_there)}
    nothing = torch.zeros((2, 0), dtype=torch.int32)
    pairs = [found.get(slot_there[slot], nothing) for slot in range(len(slots_there))]
    if identity_slot is not None:
        # Every voxel meets itself; the package lists them in the order of its hash table.
        pairs[identity_slot] = torch.arange(len(fine), dtype=torch.int32).expand(2, -1)
    # In numpy's memory: glibc 2.36 does not reuse torch's aligned blocks here, and thousands of plans would grow.
    rows = torch.from_numpy(np.concatenate([pair.numpy() for pair in pairs], axis=1, dtype=np.int64))
    return _MinkowskiMap(
        rows[0],
        rows[1],
        tuple(itertools.accumulate((pair.shape[1] for pair in pairs), initial=0)),
        num_in=len(fine),
        num_out=len(coarse),
        identity_slot=identity_slot,
        fine=start,
        coarse=end,
        generator=import_minkowski().KernelGenerator(list(kernel_size), list(step), dimension=fine.dim),
        slots_there=torch.tensor(slots_there),
    )


def _built(kernel_map: KernelMap) -> tuple[_MinkowskiMap, bool]:
    """The map as the package keeps it, and whether it is read backwards.

    Raises:
        ValueError: the engine did not build it.
    """
    for backwards in (False, True):
        candidate = kernel_map.transposed if backwards else kernel_map
        if isinstance(candidate, _MinkowskiMap):
            return candidate, backwards
    raise ValueError("the minkowski engine can only convolve with kernel maps that it built itself")


def _check_range(level: Level, reach: Sequence[range], unit: tuple[int, ...]) -> None:
    """Refuse voxels that, moved by `reach` times `unit` along an axis, do not fit into 32 bits at full resolution.

    Only images of one axis get there: packed keys hold 24 bits or fewer of each axis of the others.

    Raises:
        ValueError: naming the coordinate and its axis.
    """
    if not len(level):
        return
    limits = torch.iinfo(torch.int32)
    lowest, highest = level.coords.amin(0).tolist(), level.coords.amax(0).tolist()
    for axis, offsets in enumerate(reach):
        low = lowest[axis] * level.stride[axis] + offsets[0] * unit[axis]
        high = highest[axis] * level.stride[axis] + offsets[-1] * unit[axis]
        if low < limits.min or high > limits.max:
            raise ValueError(
                f"coordinates {low} to {high} on axis {axis} are met at stride {level.stride}; MinkowskiEngine keeps "
                "32 bits of a coordinate: crop the image or shift its origin"
            )
