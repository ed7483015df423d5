"""What every engine's levels and kernel maps must be, checked pair by pair against brute force."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from voxel_batches import Voxels, at_the_limit, batches, edge_cases, for_every_engine, from_events, sample

from lartpc_sparse.sparse import Engine, KernelMap, Level, Plan, kernel_offsets
from lartpc_sparse.sparse.coordinates import coordinate_limit

Pair = tuple[int, int, int]

SUBMANIFOLD = [
    (1,), (3,), (7,),
    (1, 1), (3, 3), (5, 5), (5, 1), (1, 3),
    (1, 1, 1), (3, 3, 3), (5, 5, 5), (3, 1, 5), (1, 3, 1),
    (3, 3, 3, 3), (1, 3, 1, 5),
]  # fmt: skip
STRIDED = [
    ((2,), (2,)), ((3,), (2,)), ((5,), (3,)),
    ((2, 2), (2, 2)), ((3, 3), (2, 2)), ((4, 4), (2, 2)), ((3, 3), (3, 3)), ((1, 2), (1, 2)), ((1, 1), (2, 2)),
    ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((4, 4, 4), (2, 2, 2)), ((3, 3, 3), (3, 3, 3)),
    ((1, 2, 2), (1, 2, 2)), ((3, 2, 4), (1, 2, 3)), ((2, 3, 1), (2, 2, 1)),
    ((2, 2, 2, 2), (2, 2, 2, 2)), ((3, 1, 2, 3), (2, 1, 1, 3)),
]  # fmt: skip


def pairs_of(kernel_map: KernelMap) -> list[Pair]:
    """(input row, output row, slot) of every pair, in rising order and with repeats."""
    columns = kernel_map.in_index, kernel_map.out_index, kernel_map.slot_index
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def brute_force_pairs(fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> list[Pair]:
    """Every pair with in coordinate = step * out coordinate + offset in the same event."""
    row_of = {
        (event, *voxel): row
        for row, (event, voxel) in enumerate(zip(fine.batch_index.tolist(), fine.coords.tolist(), strict=True))
    }
    pairs = []
    for out, (event, voxel) in enumerate(zip(coarse.batch_index.tolist(), coarse.coords.tolist(), strict=True)):
        for slot, offset in enumerate(kernel_offsets(kernel_size)):
            wanted = (event, *(s * c + o for s, c, o in zip(step, voxel, offset, strict=True)))
            if wanted in row_of:
                pairs.append((row_of[wanted], out, slot))
    return sorted(pairs)


def brute_force_coarse(voxels: Voxels, step: tuple[int, ...]) -> list[list[list[int]]]:
    """Voxels floor(coords / step) of every event, each once, in rising order."""
    return [
        [list(voxel) for voxel in sorted({tuple(c // s for c, s in zip(row, step, strict=True)) for row in event})]
        for event in voxels.events
    ]


def check_form(kernel_map: KernelMap) -> None:
    """What holds for every kernel map, whatever it connects."""
    starts = kernel_map.slot_starts
    assert starts[0] == 0
    assert starts[-1] == len(kernel_map.in_index) == len(kernel_map.out_index)
    assert list(starts) == sorted(starts)
    assert kernel_map.transposed.transposed is kernel_map
    for k, pairs in kernel_map.slots():
        out = kernel_map.out_index[pairs].tolist()
        assert len(set(out)) == len(out), f"slot {k} meets an output row twice"
    if kernel_map.identity_slot is not None:
        pairs = slice(*starts[kernel_map.identity_slot : kernel_map.identity_slot + 2])
        everything = torch.arange(kernel_map.num_out, device=kernel_map.in_index.device)
        assert torch.equal(kernel_map.in_index[pairs], everything)
        assert torch.equal(kernel_map.out_index[pairs], everything)


class MapContract:
    """Levels and maps; `EngineContract` says how to opt in."""

    device: str

    def plan(self, voxels: Voxels, engine: Engine) -> Plan:
        return Plan.build(voxels.coords.to(self.device), voxels.offsets.to(self.device), engine)

    def check_submanifold(self, voxels: Voxels, kernel_size: tuple[int, ...], engine: Engine) -> None:
        plan = self.plan(voxels, engine)
        level = plan.level((1,) * voxels.dim)
        kernel_map = plan.submanifold_map(level.stride, kernel_size)
        check_form(kernel_map)
        assert (kernel_map.num_in, kernel_map.num_out) == (len(level), len(level))
        assert kernel_map.kernel_volume == len(kernel_offsets(kernel_size))
        assert pairs_of(kernel_map) == brute_force_pairs(level, level, kernel_size, (1,) * voxels.dim)

    def check_strided(
        self, voxels: Voxels, kernel_size: tuple[int, ...], step: tuple[int, ...], engine: Engine
    ) -> None:
        plan = self.plan(voxels, engine)
        fine = plan.level((1,) * voxels.dim)
        kernel_map = plan.strided_map(fine.stride, kernel_size, step)
        coarse = plan.level(step)
        check_form(kernel_map)
        assert (kernel_map.num_in, kernel_map.num_out) == (len(fine), len(coarse))
        assert kernel_map.kernel_volume == len(kernel_offsets(kernel_size))
        expected = brute_force_pairs(fine, coarse, kernel_size, step)
        assert pairs_of(kernel_map) == expected
        assert pairs_of(kernel_map.transposed) == sorted((out, row, slot) for row, out, slot in expected)

    def check_coarse(self, voxels: Voxels, step: tuple[int, ...], engine: Engine) -> None:
        coarse = self.plan(voxels, engine).coarser((1,) * voxels.dim, step)
        assert coarse.stride == step
        assert coarse.coords.dtype == torch.int32
        assert coarse.offsets.dtype == torch.int64
        offsets = coarse.offsets.tolist()
        events = [coarse.coords.tolist()[start:stop] for start, stop in itertools.pairwise(offsets)]
        assert events == brute_force_coarse(voxels, step)

    def test_it_keeps_the_protocol(self, engine: Engine) -> None:
        assert isinstance(engine, Engine)
        assert engine.name

    @pytest.mark.parametrize("kernel_size", SUBMANIFOLD, ids=str)
    def test_submanifold_map_equals_brute_force(self, engine: Engine, kernel_size: tuple[int, ...]) -> None:
        self.check_submanifold(sample(len(kernel_size)), kernel_size, engine)

    @pytest.mark.parametrize(("kernel_size", "step"), STRIDED, ids=str)
    def test_strided_map_equals_brute_force(
        self, engine: Engine, kernel_size: tuple[int, ...], step: tuple[int, ...]
    ) -> None:
        self.check_strided(sample(len(step)), kernel_size, step, engine)

    @pytest.mark.parametrize("step", sorted({step for _, step in STRIDED}), ids=str)
    def test_coarse_level_is_the_sorted_set_of_floors(self, engine: Engine, step: tuple[int, ...]) -> None:
        self.check_coarse(sample(len(step)), step, engine)

    def test_coarse_levels_do_not_depend_on_the_way_down(self, engine: Engine) -> None:
        plan, again = (self.plan(sample(3), engine) for _ in range(2))
        plan.coarser((1, 1, 1), (2, 2, 2))
        by_steps, at_once = plan.coarser((2, 2, 2), (2, 2, 2)), again.coarser((1, 1, 1), (4, 4, 4))
        assert by_steps.stride == at_once.stride == (4, 4, 4)
        assert torch.equal(by_steps.coords, at_once.coords)
        assert torch.equal(by_steps.offsets, at_once.offsets)

    @pytest.mark.parametrize("dim", [1, 2, 3, 4])
    @pytest.mark.parametrize("name", edge_cases(2))
    def test_maps_of_edge_cases(self, engine: Engine, name: str, dim: int) -> None:
        voxels = edge_cases(dim)[name]
        self.check_submanifold(voxels, (3,) * dim, engine)
        for size in (2, 3):
            self.check_strided(voxels, (size,) * dim, (2,) * dim, engine)
        self.check_coarse(voxels, (2,) * dim, engine)

    @pytest.mark.parametrize("dim", [1, 2, 3, 4])
    def test_maps_at_the_limit_of_the_coordinates(self, engine: Engine, dim: int) -> None:
        voxels = at_the_limit(dim, coordinate_limit(dim))
        others = (1,) * (dim - 1)
        for kernel_size in [(3,) * dim, (*others, 63), (63, *others)]:
            self.check_submanifold(voxels, kernel_size, engine)
        for size, many in [(2, 2), (3, 2), (3, 3), (2, 7)]:
            self.check_strided(voxels, (size,) * dim, (many,) * dim, engine)
        for sizes in [(*others, 64), (64, *others)]:
            self.check_strided(voxels, sizes, sizes, engine)

    def test_long_runs_find_distant_neighbours(self, engine: Engine) -> None:
        row = from_events([[(0, z) for z in range(-40, 40, 3)], [(1, z) for z in range(0, 70, 7)]], 2)
        self.check_submanifold(row, (3, 63), engine)
        self.check_strided(row, (2, 64), (2, 5), engine)

    @pytest.mark.parametrize("kernel_size", [(2, 2), (3, 2), (2, 3)])
    def test_an_even_submanifold_kernel_is_refused(self, engine: Engine, kernel_size: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="odd along every axis"):
            self.plan(sample(2), engine).submanifold_map((1, 1), kernel_size)

    def test_a_kernel_beyond_the_margin_is_refused(self, engine: Engine) -> None:
        plan = self.plan(sample(2), engine)
        with pytest.raises(ValueError, match="65"):
            plan.submanifold_map((1, 1), (1, 65))
        with pytest.raises(ValueError, match="65"):
            plan.strided_map((1, 1), (65, 1), (2, 2))
        with pytest.raises(ValueError, match="66"):
            plan.strided_map((1, 1), (2, 2), (1, 66))

    def test_maps_are_freed_with_their_plan(self, engine: Engine) -> None:
        plan = self.plan(sample(2), engine)
        plan.submanifold_map((1, 1), (3, 3))
        mirrored = plan.strided_map((1, 1), (2, 2), (2, 2)).transposed
        assert mirrored.transposed is plan.strided_map((1, 1), (2, 2), (2, 2))
        maps = [weakref.ref(plan.submanifold_map((1, 1), (3, 3))), weakref.ref(mirrored)]
        gc.disable()  # device memory must not wait for the garbage collector
        try:
            del plan, mirrored
            assert [kernel_map() for kernel_map in maps] == [None, None]
        finally:
            gc.enable()

    @for_every_engine
    @given(voxels=batches(), data=st.data())
    def test_any_map_equals_brute_force(self, engine: Engine, voxels: Voxels, data: st.DataObject) -> None:
        odd, any_size, many = st.sampled_from([1, 3, 5]), st.integers(1, 4), st.integers(1, 3)
        kernel_size = data.draw(st.tuples(*[odd] * voxels.dim))
        self.check_submanifold(voxels, kernel_size, engine)
        step = data.draw(st.tuples(*[many] * voxels.dim).filter(lambda step: max(step) > 1))
        self.check_strided(voxels, data.draw(st.tuples(*[any_size] * voxels.dim)), step, engine)
        self.check_coarse(voxels, step, engine)
