"""The CPU engine's threads beside other threads and in forked processes, as data loaders make them."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from multiprocessing.connection import Connection

import pytest
import torch
from convolution_cases import BASIC
from many_tracks import many_tracks
from property_contract import threads
from test_cpu_engine_tracks import problem, results
from torch import Tensor

from lartpc_sparse.sparse import KernelMap, Plan
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.fusion import Epilogue

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

TIMEOUT_S = 60


def convolution_inputs() -> tuple[KernelMap, Tensor, Tensor]:
    voxels = many_tracks(3, 5)
    feats, weight, _ = problem(BASIC[0], voxels, (32, 48), torch.float32)
    return Plan.build(voxels.coords, voxels.offsets, CpuEngine()).submanifold_map((1, 1, 1), (3, 3, 3)), feats, weight


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_forked_process_convolves_with_threads_of_its_own() -> None:
    kernel_map, feats, weight = convolution_inputs()

    def child(connection: Connection) -> None:
        connection.send_bytes(CpuEngine().convolve(feats, weight, kernel_map).numpy().tobytes())

    with threads(3):
        expected = CpuEngine().convolve(feats, weight, kernel_map)
        for _ in range(3):
            receiver, sender = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("fork").Process(target=child, args=(sender,))
            process.start()
            try:
                assert receiver.poll(TIMEOUT_S), "the child hangs"
                assert receiver.recv_bytes() == expected.numpy().tobytes()
                process.join(TIMEOUT_S)
                assert process.exitcode == 0
            finally:
                process.kill()
        assert torch.equal(CpuEngine().convolve(feats, weight, kernel_map), expected)


def run_side_by_side(count: int, work: object) -> list[BaseException]:
    """What went wrong in `count` threads that do the same work."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "a thread hangs"
    return failures


def test_threads_convolve_at_the_same_time() -> None:
    cases = [BASIC[0], BASIC[2]]
    voxels = many_tracks(3, 5, shuffled=True)
    given = [problem(case, voxels, (16, 24), torch.float32) for case in cases]
    expected = [results(CpuEngine(), case, voxels, *one) for case, one in zip(cases, given, strict=True)]

    def work(number: int) -> None:
        with torch.enable_grad():
            for _ in range(10):
                found = results(CpuEngine(), cases[number], voxels, *given[number])
                for one, other in zip(found, expected[number], strict=True):
                    assert torch.equal(one, other)

    with threads(2):
        assert run_side_by_side(2, work) == []


def test_threads_share_a_prepared_convolution() -> None:
    """Many short calls, the interpreter changing threads between almost any two steps."""
    prepared = CpuEngine().prepare([torch.eye(8)], [Epilogue()], None, torch.float32)

    def work(number: int) -> None:
        x = torch.full((300, 8), float(number))
        wrong = sum(not torch.equal(prepared([x], [None], 300)[0], x) for _ in range(3000))
        assert wrong == 0

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert run_side_by_side(4, work) == []
    finally:
        sys.setswitchinterval(interval)
