"""The whole chain through its command line: files, repetition, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.run import main

Arguments = Callable[..., list[str]]


def test_a_chain_writes_everything_and_is_not_repeated(
    small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(small_chain()) == 0
    folder = tmp_path / "run"
    for name in ("config.yaml", "steps.json", "predictions.h5", "metrics.json", "report.html"):
        assert (folder / name).is_file(), name
    for name in ("best.ckpt", "last.ckpt", "training.csv"):
        assert (folder / "training" / name).is_file(), name
    assert list((folder / "training" / "tensorboard").iterdir())

    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["heads"]) == {"semantic", "particles", "gaps"}
    assert metrics["events"] == 3
    assert metrics["git_hash"]
    assert metrics["lartpc_sparse_version"]

    reader = SampleConfig(split="test").build()
    with PredictionFile(folder / "predictions.h5") as predictions:
        assert len(predictions) == 3
        assert yaml.safe_load(predictions.config_yaml)["run"]["name"] == "demo"
        for index, prediction in enumerate(predictions):
            event = reader.read(index)
            assert prediction.key == event.key
            np.testing.assert_array_equal(prediction.coords, event.coords)
            np.testing.assert_array_equal(prediction.energy, event.energy)
            np.testing.assert_array_equal(prediction.truth["instance"], event.labels["instance"])
            np.testing.assert_allclose(prediction.columns["semantic/probability"].sum(axis=1), 1, rtol=1e-5)
            label = prediction.columns["semantic/label"]
            np.testing.assert_array_equal(label, prediction.columns["semantic/probability"].argmax(axis=1))
            low = event.classes.index("low_energy")
            clustered = prediction.columns["particles/cluster_true_semantics"] >= 0
            np.testing.assert_array_equal(clustered, event.labels["semantic"] != low)
            gaps = prediction.tables["gaps"]
            inside = {tuple(row) for row in gaps["coords"][gaps["active"]].tolist()}
            assert inside
            assert inside <= {tuple(row) for row in event.coords.tolist()}

    capsys.readouterr()
    before = (folder / "predictions.h5").stat().st_mtime_ns, (folder / "training" / "last.ckpt").stat().st_mtime_ns
    assert main(small_chain()) == 0
    assert capsys.readouterr().out.count("done before") == 4
    after = (folder / "predictions.h5").stat().st_mtime_ns, (folder / "training" / "last.ckpt").stat().st_mtime_ns
    assert before == after

    assert main([*small_chain(), "--only", "predict", "--force"]) == 0
    assert (folder / "predictions.h5").stat().st_mtime_ns != before[0]

    # Other inputs: trained anew, and the earlier training is kept.
    assert main([*small_chain("train.epochs=1"), "--only", "train"]) == 0
    assert len(list(folder.glob("training-until-*"))) == 1


@pytest.mark.parametrize("heads", [("semantic",), ("particles",), ("gaps",), ("semantic", "gaps")])
def test_any_subset_of_heads(
    heads: tuple[str, ...], small_steps: dict[str, dict[str, dict[str, object]]], small_chain: Arguments, tmp_path: Path
) -> None:
    every = small_steps["model"]["heads"]
    small_steps["model"]["heads"] = {name: every[name] for name in heads}
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps, sort_keys=False))
    assert main([str(chain), *small_chain("train.epochs=1")[1:]]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert tuple(metrics["heads"]) == heads


def test_two_dimensions(small_steps: dict[str, dict[str, object]], small_chain: Arguments, tmp_path: Path) -> None:
    source = SampleConfig(split="test").build()
    path = tmp_path / "plane.h5"
    with VoxelFileWriter(path, image_size=source.image_size[:2], classes=source.classes) as writer:
        for index in range(4):
            event = source.read(index)
            _, first = np.unique(event.coords[:, :2], axis=0, return_index=True)
            flat = event.select(first)
            writer.write(
                flat.replace(
                    coords=flat.coords[:, :2].copy(),
                    image_size=source.image_size[:2],
                    inverse_index=np.arange(len(flat)),
                )
            )
    for part in ("train", "validation", "test"):
        small_steps["data"][part] = {"kind": "voxels", "files": [str(path)]}
    small_steps["model"]["dim"] = 2
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps, sort_keys=False))
    assert main([str(chain), *small_chain("train.epochs=1")[1:]]) == 0
    with PredictionFile(tmp_path / "run" / "predictions.h5") as predictions:
        assert predictions.read(0).coords.shape[1] == 2


def _broken_copy(tmp_path: Path) -> Path:
    """Three events of the sample; the second has a NaN energy."""
    source = SampleConfig(split="test").build()
    path = tmp_path / "broken.h5"
    with VoxelFileWriter(path, image_size=source.image_size, classes=source.classes) as writer:
        for index in range(3):
            writer.write(source.read(index))
    with h5py.File(path, "r+") as file:
        file["energy"][file["offsets"][1] + 5] = np.nan
    return path


def test_a_bad_event_stops_the_job_or_is_skipped(
    small_steps: dict[str, dict[str, object]],
    small_chain: Arguments,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = _broken_copy(tmp_path)
    small_steps["data"]["test"] = {"kind": "voxels", "files": [str(path)]}
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps, sort_keys=False))
    arguments = [str(chain), *small_chain("train.epochs=1")[1:]]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "broken.h5" in message
    assert "entry 1" in message
    assert "energy" in message
    assert "Traceback" not in message

    assert main([*arguments, "data.on_bad_event=skip"]) == 0
    with PredictionFile(tmp_path / "run" / "predictions.h5") as predictions:
        states = [prediction.status for prediction in predictions]
    assert states[0] == states[2] == "ok"
    assert "energy" in states[1]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["skipped_events"] == 1


def test_a_changed_input_file_repeats_the_step(
    small_steps: dict[str, dict[str, object]],
    small_chain: Arguments,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = SampleConfig(split="test").build()
    path = tmp_path / "events.h5"

    def write(first: int) -> None:
        with VoxelFileWriter(path, image_size=source.image_size, classes=source.classes) as writer:
            for index in range(first, first + 3):
                writer.write(source.read(index))

    write(0)
    small_steps["data"]["test"] = {"kind": "voxels", "files": [str(path)]}
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps, sort_keys=False))
    arguments = [str(chain), *small_chain("train.epochs=1")[1:], "--only", "train", "predict"]
    assert main(arguments) == 0
    write(3)
    capsys.readouterr()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "train: done before" in out
    assert "predict: wrote" in out
    with PredictionFile(tmp_path / "run" / "predictions.h5") as predictions:
        assert len(predictions.read(0)) == len(source.read(3))


def test_another_model_than_the_checkpoint_is_refused(
    small_chain: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_chain("train.epochs=1"), "--only", "train"]) == 0
    assert main([*small_chain("train.epochs=1", "model.backbone.filters=6"), "--only", "predict"]) == 2
    assert "backbone" in capsys.readouterr().err


def test_missing_pieces_are_named(small_chain: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*small_chain(), "--only", "predict"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert main([*small_chain(), "--only", "report"]) == 2
    assert "run the step predict first" in capsys.readouterr().err
    assert main([*small_chain("run.device=cuda"), "--only", "train"]) in (0, 2)


def test_a_damaged_checkpoint_is_named(
    small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_chain("train.epochs=1"), "--only", "train"]) == 0
    best = tmp_path / "run" / "training" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    assert main([*small_chain("train.epochs=1"), "--only", "predict"]) == 2
    assert "best.ckpt is damaged" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_names_the_events(small_chain: Arguments, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ("train.optimizer.lr=1.0e+30", "train.clip_norm=null", "train.epochs=4")
    assert main([*small_chain(*overrides), "--only", "train"]) == 5
    message = capsys.readouterr().err
    assert "the loss became" in message
    assert "train.h5 entry" in message


def test_schema_and_help_run_as_a_program() -> None:
    for option, expected in (("--help", "examples:"), ("--schema", '"properties"')):
        done = subprocess.run(
            [sys.executable, "-m", "lartpc_sparse.run", option], capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
