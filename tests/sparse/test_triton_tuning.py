"""The choice of tiles: timed once, kept on disk, never timed where it would do harm; who can run the engine."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lartpc_sparse.schema import LartpcSparseWarning
from lartpc_sparse.sparse.engines.triton_engine import TritonEngine, availability, reason_unavailable
from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig, TileProblem
from lartpc_sparse.sparse.engines.triton_engine.tuning import Run, Tuner
from lartpc_sparse.sparse.engines.triton_engine.tuning_cache import TuningCache, cache_file

PROBLEM = TileProblem("forward", 100_000, 32, 64, 27, torch.float16, "ieee")
CPU = torch.device("cpu")


class Stopwatch:
    """Says that the last candidate is the fastest, and counts."""

    def __init__(self) -> None:
        self.timed: list[TileConfig] = []

    def __call__(self, run: Run, config: TileConfig) -> float:
        run(config)
        self.timed.append(config)
        return -float(len(self.timed))


def launch(config: TileConfig) -> None:
    """Stands for a kernel."""


def tuner(path: Path) -> tuple[Tuner, Stopwatch]:
    stopwatch = Stopwatch()
    return Tuner(stopwatch, lambda _: "some GPU", TuningCache(path)), stopwatch


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.delenv("LARTPC_SPARSE_AUTOTUNE", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tiles.json"


def test_the_fastest_is_kept_in_the_process_and_on_disk(path: Path) -> None:
    first, stopwatch = tuner(path)
    chosen = first.choose(PROBLEM, CPU, launch)
    assert stopwatch.timed == PROBLEM.candidates()
    assert chosen == PROBLEM.candidates()[-1] != PROBLEM.default()
    assert first.choose(PROBLEM, CPU, launch) == chosen
    second, again = tuner(path)
    assert second.choose(PROBLEM, CPU, launch) == chosen
    assert len(stopwatch.timed) == len(PROBLEM.candidates())
    assert again.timed == []
    assert list(path.parent.glob("*.json*")) == [path]


@pytest.mark.parametrize(
    "other",
    [{"name": "data gradient"}, {"rows": 200_000}, {"c_in": 31}, {"c_out": 65}, {"kernel_volume": 8},
     {"dtype": torch.bfloat16}, {"dtype": torch.float32, "precision": "tf32"}],
    ids=str,
)  # fmt: skip
def test_another_problem_is_timed_anew(path: Path, other: dict[str, object]) -> None:
    chooser, stopwatch = tuner(path)
    chooser.choose(PROBLEM, CPU, launch)
    before = len(stopwatch.timed)
    chooser.choose(dataclasses.replace(PROBLEM, rows=70_000), CPU, launch)  # the same power of two
    assert len(stopwatch.timed) == before
    chooser.choose(dataclasses.replace(PROBLEM, **other), CPU, launch)
    assert len(stopwatch.timed) > before


def test_another_machine_is_timed_anew(path: Path) -> None:
    chooser, _ = tuner(path)
    chooser.choose(PROBLEM, CPU, launch)
    other, stopwatch = tuner(path)
    other.machine = lambda _: "another GPU"
    other.choose(PROBLEM, CPU, launch)
    assert stopwatch.timed


@pytest.mark.parametrize("why", ["switched off", "interpreted", "distributed"])
def test_nothing_is_timed_where_it_would_do_harm(path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "switched off":
        monkeypatch.setenv("LARTPC_SPARSE_AUTOTUNE", "0")
    elif why == "interpreted":
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    else:
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    chooser, stopwatch = tuner(path)
    assert chooser.choose(PROBLEM, CPU, launch) == PROBLEM.default()
    assert stopwatch.timed == []
    assert not path.exists()


def test_one_rank_alone_may_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    chooser, stopwatch = tuner(path)
    chooser.choose(PROBLEM, CPU, launch)
    assert stopwatch.timed


BAD_BLOCK = {"block_m": 63, "block_n": 64, "block_k": 64, "num_warps": 4, "num_stages": 3}


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        json.dumps({"format": 1, "tiles": []}),
        json.dumps({"format": 1, "tiles": {"key": {"block_m": 64}}}),
        json.dumps({"format": 1, "tiles": {"key": BAD_BLOCK}}),
    ],
)
def test_a_damaged_file_is_made_anew_with_a_warning(path: Path, damage: str) -> None:
    path.parent.mkdir()
    path.write_text(damage)
    chooser, stopwatch = tuner(path)
    with pytest.warns(LartpcSparseWarning, match="cannot be read.*made anew"):
        chosen = chooser.choose(PROBLEM, CPU, launch)
    assert stopwatch.timed
    assert tuner(path)[0].choose(PROBLEM, CPU, launch) == chosen


def test_a_file_of_another_format_is_not_used(path: Path) -> None:
    tuner(path)[0].choose(PROBLEM, CPU, launch)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": 0}))
    again, stopwatch = tuner(path)
    again.choose(PROBLEM, CPU, launch)
    assert stopwatch.timed


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    config = PROBLEM.default()

    def write(writer: int) -> None:
        cache = TuningCache(path)  # a lock of its own, as in a process of its own
        for n in range(25):
            cache.put(f"{writer} {n}", config)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert sorted(json.loads(path.read_text())["tiles"]) == sorted(f"{w} {n}" for w in range(4) for n in range(25))


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    chooser, stopwatch = tuner(blocked / "tiles.json")
    with pytest.warns(LartpcSparseWarning, match="XDG_CACHE_HOME"):
        chosen = chooser.choose(PROBLEM, CPU, launch)
    assert chosen == PROBLEM.candidates()[-1]
    before = len(stopwatch.timed)
    assert chooser.choose(PROBLEM, CPU, launch) == chosen
    assert len(stopwatch.timed) == before


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "lartpc_sparse" / "triton_tiles.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / ".cache" / "lartpc_sparse" / "triton_tiles.json"
    assert TritonEngine().tuner.cache.path == cache_file()


@pytest.mark.parametrize("channels", [1, 5, 16, 33, 96, 160, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_default_tiles_fit_any_gpu(dtype: torch.dtype, channels: int) -> None:
    for name in ("forward", "data gradient", "weight gradient"):
        problem = TileProblem(name, 1000, channels, 33, 27, dtype, "ieee")
        tiles = problem.default()
        buffers = (tiles.num_stages - 1) * tiles.block_k * (tiles.block_m + tiles.block_n) * dtype.itemsize
        assert buffers <= 48 * 1024
        assert len(set(problem.candidates())) == len(problem.candidates())


@pytest.mark.parametrize(
    "wrong", [(48, 32, 32, 4, 3), (8, 32, 32, 4, 3), (64, 32, 1024, 4, 3), (64, 32, 32, 3, 3), (64, 32, 32, 4, 0)]
)
def test_tiles_that_no_kernel_can_have_are_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="power of two"):
        TileConfig(*wrong)


def test_why_the_engine_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    assert "not the CPU" in str(reason_unavailable("cpu"))
    assert "not mps" in str(reason_unavailable(torch.device("mps")))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert reason_unavailable("cpu") is None
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "this PyTorch finds none" in str(reason_unavailable("cuda"))


@pytest.mark.parametrize(
    ("capability", "words"),
    [((7, 0), "Tesla V100 has 7.0: use the torch engine with fp16"), ((8, 0), None), ((9, 0), None)],
)
def test_the_capability_decides(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], words: str | None
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")
    reason = reason_unavailable("cuda:0")
    assert reason is None if words is None else words in str(reason)


def test_without_triton_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_has_triton", lambda: False)
    assert "lartpc-sparse[triton]" in str(reason_unavailable("cuda"))
