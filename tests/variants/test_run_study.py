"""Running variants: order, failures, subsets, summary. The chain itself is a stand-in that writes metrics."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.run import main
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps import RunFolder
from lartpc_sparse.steps.run_folder import write_json, write_text
from lartpc_sparse.yaml_config import dump_config

TEXT = """
for_each: {weighting: [none, cluster_vertex], seed: [1, 2, 3]}
run: {name: weights, output_dir: runs, seed: "${seed}"}
simulate: {kind: wire_planes, events: 4, seed: 9, reader: {kind: sample}}
data: {train: {kind: voxels, files: ["${simulation}/u_*.h5"]}, test: {kind: voxels, files: ["${simulation}/u_*.h5"]}}
model: {dim: 2, heads: {semantic: {kind: semantic, weighting: {kind: "${weighting}"}}}}
train:
predict:
evaluate:
"""


def metrics(accuracy: float) -> dict[str, Any]:
    per_class = {name: {"recall": accuracy, "precision": None, "f1": 0.5} for name in ("HIP", "Michel")}
    head = {"kind": "semantic", "accuracy": accuracy, "macro": {"f1": 0.5}, "per_class": per_class}
    return {"heads": {"semantic": head}}


class StandIn:
    """Records which chains run; fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.errors: dict[str, BaseException] = {}

    def run_chain(self, config: ChainConfig, *, only: Sequence[str] = (), force: bool = False) -> None:
        folder = RunFolder(config)
        self.calls.append((str(config.run.output_dir), tuple(only)))
        write_text(folder.config_file, dump_config(config))
        for step in only or config.steps:
            folder.mark(step, "x", "running")
            if folder.root.name in self.errors:
                raise self.errors[folder.root.name]
            folder.mark(step, "x", "done")
        if not only or "evaluate" in only:
            published = config.model is not None and "cluster_vertex" in dump_config(config)
            write_json(folder.metrics, metrics(0.9 + 0.05 * published + 0.01 * config.run.seed))


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    stand_in = StandIn()
    import lartpc_sparse.variants  # noqa: F401

    monkeypatch.setattr("lartpc_sparse.variants.run.run_chain", stand_in.run_chain)
    monkeypatch.chdir(tmp_path)
    Path("chain.yaml").write_text(TEXT)
    return stand_in


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs/summary.json").read_text())
    return found


def test_all_variants_run_after_one_simulation(chain: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain.yaml"]) == 0
    assert chain.calls[0] == ("runs", ("simulate",))
    assert [folder for folder, _ in chain.calls[1:]] == [
        f"runs/weighting={w},seed={s}" for w in ("none", "cluster_vertex") for s in (1, 2, 3)
    ]
    found = summary()
    assert [variant["status"] for variant in found["variants"]] == ["done"] * 6
    assert found["variants"][0]["numbers"]["semantic: recall Michel"] == pytest.approx(0.91)
    assert "semantic: precision HIP" not in found["variants"][0]["numbers"]
    plain, published = (group["numbers"]["semantic: accuracy"] for group in found["groups"])
    assert (plain["runs"], plain["mean"], plain["spread"]) == (3, pytest.approx(0.92), pytest.approx(0.01))
    assert published["mean"] == pytest.approx(0.97)
    with Path("runs/summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1", "2", "3"] * 2
    assert float(rows[3]["semantic: accuracy"]) == pytest.approx(0.96)
    out = capsys.readouterr().out
    assert "0.920 ± 0.010" in out
    assert "3/3" in out
    page = Path("runs/summary.html").read_text()
    assert "0.9200 ± 0.0100" in page
    assert "for_each: {weighting" in page


def test_a_subset_keeps_the_others_in_the_summary(chain: StandIn) -> None:
    assert main(["chain.yaml", "--variant", "seed=2", "weighting=none"]) == 0
    assert [folder for folder, _ in chain.calls] == ["runs", "runs/weighting=none,seed=2"]
    assert [variant["status"] for variant in summary()["variants"]].count("not run") == 5
    assert main(["chain.yaml", "--variant", "seed=1", "--set", "train.epochs=99"]) == 0
    states = [variant["status"] for variant in summary()["variants"]]
    assert states == ["done", "made with another configuration", "not run", "done", "not run", "not run"]


def test_only(chain: StandIn) -> None:
    assert main(["chain.yaml", "--only", "simulate"]) == 0
    assert chain.calls == [("runs", ("simulate",))]
    assert main(["chain.yaml", "--only", "train", "--variant", "seed=1"]) == 0
    assert chain.calls[1:] == [(f"runs/weighting={w},seed=1", ("train",)) for w in ("none", "cluster_vertex")]
    assert summary()["variants"][0]["status"] == "unfinished"


def test_the_first_failure_stops(chain: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    chain.errors["weighting=none,seed=2"] = UserError("no [red]files")
    assert main(["chain.yaml"]) == 2
    assert len(chain.calls) == 3
    error = capsys.readouterr().err
    assert "1 of 6 variants failed, 1 done, 4 not tried (--keep-going tries them):" in error
    assert "weighting=none, seed=2: no [red]files" in error
    assert [variant["status"] for variant in summary()["variants"]][:3] == ["done", "failed: no [red]files", "not run"]


def test_keep_going(chain: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    chain.errors["weighting=none,seed=2"] = UserError("no files")
    assert main(["chain.yaml", "--keep-going"]) == 2
    assert len(chain.calls) == 7
    assert "1 of 6 variants failed, 5 done:" in capsys.readouterr().err
    assert [v["status"] for v in summary()["variants"]].count("done") == 5

    chain.errors["weighting=none,seed=3"] = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        main(["chain.yaml", "--keep-going"])
    assert "ZeroDivisionError: bug" in capsys.readouterr().err
    assert len(chain.calls) == 14


def test_an_interrupt_is_no_failure_of_a_variant(chain: StandIn) -> None:
    chain.errors["weighting=none,seed=1"] = KeyboardInterrupt()
    assert main(["chain.yaml", "--keep-going"]) == 130
    assert len(chain.calls) == 2


def test_further_processes_join_the_training_that_began_last(chain: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.errors |= {f"weighting=none,seed={seed}": UserError("killed") for seed in (1, 2)}
    for seed in (2, 1):
        assert main(["chain.yaml", "--only", "train", "--variant", f"seed={seed}", "weighting=none"]) == 2
    steps = Path("runs/weighting=none,seed=2/steps.json")
    steps.write_text(steps.read_text().replace('"created": "20', '"created": "19'))
    chain.calls.clear()
    chain.errors.clear()
    monkeypatch.setattr("lartpc_sparse.variants.run.rank_zero_only.rank", 1, raising=False)
    assert main(["chain.yaml"]) == 0
    assert chain.calls == [("runs/weighting=none,seed=1", ("train",))]
