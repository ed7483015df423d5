"""The step tune through the command line: chosen settings act, are kept with the weights, and are chosen anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main
from lartpc_sparse.weights import describe_as_used, find_weights

Arguments = Callable[..., list[str]]


def test_the_chosen_settings_predict_and_go_with_the_weights(
    small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = small_chain("tune={}")
    assert main(arguments) == 0
    folder = tmp_path / "run"
    tuned = json.loads((folder / "tuned.json").read_text())
    assert set(tuned["settings"]) == {"particles", "gaps"}
    assert tuned["events"] == 2
    assert tuned["git_hash"]
    assert len(tuned["trials"]["particles"]) > 100
    with PredictionFile(folder / "predictions.h5") as predictions:
        used = yaml.safe_load(predictions.config_yaml)["model"]["heads"]
    assert used["gaps"]["threshold"] == tuned["settings"]["gaps"]["threshold"]
    for name, chosen in tuned["settings"]["particles"]["thresholds"].items():
        assert used["particles"]["thresholds"][name] == {"min_voxels": 1, **chosen}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["heads"]["gaps"]["threshold"] == tuned["settings"]["gaps"]["threshold"]

    capsys.readouterr()
    assert main(arguments) == 0
    assert "tune: done before, inputs unchanged" in capsys.readouterr().out

    from lartpc_sparse.weights.description import describe
    from lartpc_sparse.weights.export import export_weights

    output = tmp_path / "mine.safetensors"
    export_weights(str(folder), "mine", output)
    assert describe(output).model["heads"]["gaps"]["threshold"] == tuned["settings"]["gaps"]["threshold"]

    from lartpc_sparse.config import ChainConfig

    chain = {"run": {"output_dir": str(tmp_path / "next")}, "weights": str(folder), "predict": {}}
    chain |= {"model": {"heads": {"gaps": {"kind": "inpaint", "tune": ["calibration"]}}}}
    chain |= {"data": {"test": {"kind": "sample", "split": "test", "limit": 2}}}
    following = ChainConfig.model_validate(chain).model
    assert following is not None
    assert following.heads["gaps"].threshold == tuned["settings"]["gaps"]["threshold"]  # type: ignore[attr-defined]


def test_predicting_before_tuning_is_refused(
    small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_chain("tune={}", "train.epochs=1"), "--only", "train"]) == 0
    assert main([*small_chain("tune={}", "train.epochs=1"), "--only", "predict"]) != 0
    assert "run the step tune first" in capsys.readouterr().err
    (tmp_path / "run" / "tuned.json").write_text("{")
    assert main([*small_chain("tune={}", "train.epochs=1"), "--only", "predict"]) != 0
    assert "is damaged" in capsys.readouterr().err


def test_what_predict_averages_is_tuned_on_averages(small_chain: Arguments, tmp_path: Path) -> None:
    def trials(*more: str) -> dict[str, list[dict[str, object]]]:
        assert main([*small_chain("tune={}", "train.epochs=1", *more), "--only", "train", "tune"]) == 0
        found: dict[str, list[dict[str, object]]] = json.loads((tmp_path / "run" / "tuned.json").read_text())["trials"]
        return found

    alone = trials()
    copies = trials("predict.augmentation={count: 3}", "predict.average_heads=[gaps]")
    assert copies["gaps"] != alone["gaps"]
    assert copies["particles"] == alone["particles"]
    assert trials() == alone


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["data.validation=null"], "needs data.validation"),
        (["model.heads={semantic: {kind: semantic}}", "train.epochs=1"], "has nothing to choose"),
    ],
)
def test_what_cannot_be_tuned_is_said(
    small_chain: Arguments, overrides: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(small_chain("tune={}", *overrides)) != 0
    assert says in capsys.readouterr().err


def test_the_demo_as_it_stands_runs_on_a_few_events(demo_chain: list[str], tmp_path: Path) -> None:
    assert main(demo_chain) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics["heads"]) == {"semantic", "particles", "gaps"}
    chosen = json.loads((tmp_path / "run" / "tuned.json").read_text())["settings"]
    of_run = describe_as_used(find_weights(str(tmp_path / "run"))).model_config().heads["gaps"].model_dump()
    assert {name: of_run[name] for name in chosen["gaps"]} == chosen["gaps"]
    assert (tmp_path / "run" / "report.html").is_file()
