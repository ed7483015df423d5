"""What the CPU engine's library allocates is freed with its Python objects."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from voxel_batches import sample

from lartpc_sparse.sparse import KernelMap, Plan
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.native.handles import BlockedMapHandle
from lartpc_sparse.sparse.native.library import library

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

GROWTH_MB = 5.0


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each free function has been called since the test began."""
    calls: Counter[str] = Counter()

    def counting(name: str, function: Callable[[int], None]) -> Callable[[int], None]:
        def free(pointer: int) -> None:
            calls[name] += 1
            function(pointer)

        return free

    for name in ("index_free", "map_free"):
        monkeypatch.setattr(library(), name, counting(name, getattr(library(), name)))
    return calls


def test_handles_are_freed_with_their_plan(freed: Counter[str]) -> None:
    voxels = sample(3)
    gc.disable()  # they must not wait for the garbage collector
    try:
        plan = Plan.build(voxels.coords, voxels.offsets, CpuEngine())
        plan.submanifold_map((1, 1, 1), (3, 3, 3)).transposed  # noqa: B018 - made for the sake of its handle
        mirrored = plan.strided_map((1, 1, 1), (2, 2, 2), (2, 2, 2)).transposed
        kept = plan.strided_map((1, 1, 1), (3, 3, 3), (2, 2, 2))
        assert not freed
        del plan
        # `mirrored` was asked for, so its handle lives on; the submanifold map shares one with its transpose.
        assert freed["index_free"] == 2
        del mirrored
        assert freed["map_free"] == 3
        del kept
        assert freed["map_free"] == 4
    finally:
        gc.enable()


def test_the_handle_of_listed_pairs_is_freed_with_its_map(freed: Counter[str]) -> None:
    voxels = sample(2)
    made = Plan.build(voxels.coords, voxels.offsets, CpuEngine()).submanifold_map((1, 1), (3, 3))
    listed = KernelMap(made.in_index, made.out_index, made.slot_starts, made.num_in, made.num_out)
    listed.derived("cpu", BlockedMapHandle.from_pairs)
    before = freed["map_free"]
    del listed
    assert freed["map_free"] == before + 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell a process its memory")
def test_ten_thousand_plans_leave_nothing_behind() -> None:
    script = Path(__file__).with_name("plan_memory.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < GROWTH_MB
