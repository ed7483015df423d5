"""The measurement itself, with contestants that only pretend."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

from benchmarks import measure
from benchmarks.agreement import compare_files
from benchmarks.client import Client, WorkerFailed
from benchmarks.contestant import Unavailable
from benchmarks.limits import Limits
from benchmarks.measure import CaseResult, Settings, measure_case
from benchmarks.plan_curve import growth
from benchmarks.spread import Spread
from benchmarks.table import case_tables, left_out_lines


class PretendClient:
    """Answers as a worker would.

    `spconv` computes something else, `cpu-bf16` only in its gradients, `dense` does not train.
    """

    asked: ClassVar[list[tuple[str, str]]] = []
    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, name: str, **_: object) -> None:
        self.name = name

    def ask(self, do: str, **arguments: object) -> dict[str, object]:
        if self.name == "minkowski":
            raise Unavailable("not installed")
        if do == "load":
            return {"settings": {}}
        if do == "check":
            if self.name == "dense" and arguments["gradients"]:
                raise Unavailable("does not train")
            off = 1.5 if self.name == "spconv" else 1.0
            slope = -1.0 if self.name == "cpu-bf16" else 1.0
            np.savez(str(arguments["path"]), out=np.full(4, off), **({"grad w": np.full(2, slope)}))
            return {}
        if do == "memory":
            return {"peak_mb": 300.0}
        what = str(arguments["what"])
        self.asked.append((what, self.name))
        if self.name == "dense" and what == "training":
            raise Unavailable("does not train")
        if self.name == "torch-bf16" and what == "training":
            raise WorkerFailed("killed")
        return {"seconds": 0.1}

    def close(self) -> None: ...

    def __enter__(self) -> PretendClient:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_reference_of_its_own_is_started_where_torch_takes_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "Client", PretendClient)
    settings = Settings(repeats=1, threads=1, device="cpu", folder=tmp_path, say=lambda _: None)
    result = measure_case("tiny", ["cpu", "spconv"], settings)
    assert "does not compute the same as torch" in result.left_out["spconv"]
    assert list(result.contestants["cpu"].seconds) == ["inference", "training", "plan"]
    assert not (tmp_path / "tiny-reference.npz").exists()


def test_wrong_gradients_leave_inference_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "Client", PretendClient)
    settings = Settings(repeats=1, threads=1, device="cpu", folder=tmp_path, say=lambda _: None)
    result = measure_case("tiny", ["torch", "cpu-bf16"], settings)
    assert list(result.contestants["cpu-bf16"].seconds) == ["inference", "plan"]
    assert "gradient of w by 2 " in result.left_out["cpu-bf16 training"]


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaseResult:
    PretendClient.asked.clear()
    monkeypatch.setattr(measure, "Client", PretendClient)
    settings = Settings(repeats=4, threads=1, device="cpu", folder=tmp_path, say=lambda _: None)
    return measure_case("tiny", ["torch", "torch-bf16", "spconv", "minkowski", "dense"], settings)


def test_who_is_absent_or_differs_is_left_out_with_the_reason(pretended: CaseResult) -> None:
    assert pretended.left_out["minkowski"] == "not installed"
    assert "does not compute the same as torch" in pretended.left_out["spconv"]
    assert pretended.left_out["torch-bf16 training"] == "killed"
    assert not any(name == "spconv" for _, name in PretendClient.asked)
    lines = list(left_out_lines([pretended, pretended]))
    assert "minkowski is missing (tiny, tiny): not installed" in lines


def test_rounds_are_interleaved_and_the_first_one_is_not_counted(pretended: CaseResult) -> None:
    inference = [name for what, name in PretendClient.asked if what == "inference"]
    assert inference[:9] == [
        "torch",
        "torch-bf16",
        "dense",
        "torch-bf16",
        "dense",
        "torch",
        "dense",
        "torch",
        "torch-bf16",
    ]
    found = pretended.contestants
    assert found["torch"].seconds == {"inference": [0.1] * 4, "training": [0.1] * 4, "plan": [0.1] * 4}
    assert found["dense"].seconds == {"inference": [0.1] * 3}  # too slow for more
    assert "training" not in found["torch-bf16"].seconds
    assert found["torch"].memory["training"] == {"peak_mb": 300.0}


def test_tables_give_times_as_multiples_of_the_limit(pretended: CaseResult) -> None:
    console = Console(width=120)
    limits = Limits({"fp32": pretended.gflop / 0.05})  # the multiplications would take 50 ms
    with console.capture() as capture:
        for table in case_tables(pretended, limits):
            console.print(table)
    inference, training = capture.get().split("tiny, training")
    row = next(line.split() for line in inference.splitlines() if line.strip().startswith("torch "))
    assert row == ["torch", "100.0", "100.0-100.0", "2.00", "50", "%", "1.00", "300", "100.0", "(100", "%)"]
    assert "dense" in inference
    assert "dense" not in training


def test_agreement_sees_other_values_shapes_and_nan(tmp_path: Path) -> None:
    def stored(name: str, **arrays: object) -> Path:
        np.savez(tmp_path / name, **arrays)  # type: ignore[arg-type]
        return tmp_path / f"{name}.npz"

    gradients = {"grad a": np.ones(3), "grad b": np.ones(3)}
    reference = stored("reference", out=np.ones(4), **gradients)
    same, other = compare_files(reference, reference), compare_files(stored("values", out=np.ones(4) * 1.01), reference)
    assert same.output_is_good("fp32")
    assert same.gradients_are_good("fp32")
    assert not other.output_is_good("fp32")
    assert other.output_is_good("bf16")
    assert not compare_files(stored("shape", out=np.ones(5)), reference).output_is_good("bf16")
    assert not compare_files(stored("nan", out=np.full(4, np.nan)), reference).output_is_good("bf16")
    swapped = compare_files(stored("grad", out=np.ones(4), **{**gradients, "grad b": -np.ones(3)}), reference)
    assert swapped.output_is_good("fp32")
    assert not swapped.gradients_are_good("bf16")
    assert (swapped.worst, swapped.gradient) == ("b", pytest.approx(2.0))


def test_limits_of_gpus_take_precision_and_traffic_into_account() -> None:
    limits = Limits({"fp32": 100.0, "bf16": 200.0}, bandwidth_gb=1.0)
    assert limits.flop_seconds(10, "training", "bf16") == pytest.approx(0.15)
    assert limits.flop_seconds(10, "inference", "fp16") == pytest.approx(0.1)
    assert limits.traffic_seconds(500_000_000, "inference", "bf16") == pytest.approx(1.0)
    assert Limits({"fp32": 1.0}).traffic_seconds(1, "inference", "fp32") is None


def test_spread_and_growth() -> None:
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])
    voxels = [1_000, 10_000, 100_000, 1_000_000]
    assert growth(voxels, [1e-3, 2e-3, 2e-2, 2e-1]) == pytest.approx(1.0)
    assert growth(voxels, [float(count) ** 1.5 for count in voxels]) == pytest.approx(1.5)


def test_a_contestant_may_be_confined_to_one_thread() -> None:
    with Client("spconv-1thread", threads=4) as confined, Client("spconv", threads=4) as free:
        assert confined.environment["OMP_NUM_THREADS"] == confined.process.args[-1] == "1"  # type: ignore[index]
        assert free.environment["OMP_NUM_THREADS"] == "4"


def test_a_worker_says_what_is_wrong_and_how_it_ended() -> None:
    with Client("torch", threads=1) as client:
        with pytest.raises(WorkerFailed, match="load a batch first"):
            client.ask("run", what="inference")
        client.process.kill()
        with pytest.raises(WorkerFailed, match="ended with code -9"):
            client.ask("memory")
