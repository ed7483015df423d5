"""Chains that name weights: prediction without a model section, fine-tuning, refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from weights_chain import write_chain

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main
from lartpc_sparse.weights import read_state, sha256_of
from lartpc_sparse.yaml_config import dump_config, load_config

TEST = {"kind": "sample", "split": "test", "limit": 3}


def columns(path: Path) -> list[np.ndarray]:
    with PredictionFile(path) as predictions:
        return [prediction.columns["semantic/probability"] for prediction in predictions]


@pytest.mark.parametrize("how", ["name", "file", "run", "checkpoint"])
def test_a_chain_of_weights_and_files_alone(
    how: str, packaged: str, tiny_run: Path, tiny_file: Path, tmp_path: Path
) -> None:
    checkpoint = tiny_run / "training" / "best.ckpt"
    source, path = {
        "name": (packaged, tmp_path / "packaged" / "tiny3d.safetensors"),
        "file": (str(tiny_file), tiny_file),
        "run": (str(tiny_run), checkpoint),
        "checkpoint": (str(checkpoint), checkpoint),
    }[how]
    steps = {"weights": source, "data": {"test": TEST}, "predict": {}, "report": {"displays": 2}}
    assert main([str(write_chain(tmp_path, "use", steps))]) == 0
    with PredictionFile(tmp_path / "use" / "predictions.h5") as predictions:
        assert predictions.attributes["weights"] == source if how in ("name", "file") else str(path)
        assert predictions.attributes["weights_sha256"] == sha256_of(path)
        resolved = yaml.safe_load(predictions.config_yaml)
    assert resolved["model"]["backbone"]["filters"] == 4
    assert resolved["data"]["transforms"][1]["min"] == 0.02
    for ours, reference in zip(
        columns(tmp_path / "use" / "predictions.h5"), columns(tiny_run / "predictions.h5"), strict=True
    ):
        np.testing.assert_array_equal(ours, reference)
    assert (tmp_path / "use" / "report.html").is_file()  # without a truth there is nothing to evaluate, but to see


def test_the_resolved_chain_is_the_same_chain(packaged: str, tmp_path: Path) -> None:
    steps = {"weights": packaged, "data": {"test": TEST}, "predict": {}, "model": {"heads": {"semantic": None}}}
    steps["model"] = {"heads": {"gaps": {"threshold": 0.3}, "semantic": None}, "backbone": {"activation": "elu"}}
    config = load_config(write_chain(tmp_path, "use", steps), ChainConfig)
    assert config.model is not None
    assert list(config.model.heads) == ["gaps", "semantic"]
    assert config.model.heads["gaps"].threshold == 0.3
    assert config.model.backbone.activation == "elu"
    assert config.model.backbone.filters == 4
    (tmp_path / "resolved.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "resolved.yaml", ChainConfig) == config
    shutil.rmtree(tmp_path / "packaged")
    assert load_config(tmp_path / "resolved.yaml", ChainConfig) == config  # also where the file is not at hand


def test_configuration_objects_are_filled_too(packaged: str) -> None:
    plain = ChainConfig.model_validate({"weights": packaged, "data": {"test": TEST}, "predict": {}})
    data = type(plain.data).model_validate({"test": TEST})
    assert ChainConfig(weights=packaged, data=data, predict=plain.predict) == plain


def test_transforms_of_the_chain_replace_those_of_the_weights(packaged: str) -> None:
    data = {"test": TEST, "transforms": [{"kind": "merge_duplicates"}]}
    config = ChainConfig.model_validate({"weights": packaged, "data": data, "predict": {}})
    assert [transform.kind for transform in config.data.transforms] == ["merge_duplicates"]


def test_other_weights_are_predicted_anew_and_the_same_are_not(
    packaged: str, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = str(write_chain(tmp_path, "use", {"weights": packaged, "data": {"test": TEST}, "predict": {}}))
    assert main([chain]) == 0
    file = tmp_path / "packaged" / "tiny3d.safetensors"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)  # a new installation of the same weights
    capsys.readouterr()
    assert main([chain]) == 0
    assert "done before" in capsys.readouterr().out
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main([chain]) == 0
    assert "done before" not in capsys.readouterr().out


def test_a_training_begins_with_the_weights(
    packaged: str, tiny_file: Path, tmp_path: Path, chain: dict[str, Any]
) -> None:
    del chain["model"]
    chain["weights"] = packaged
    chain["train"] = {"epochs": 1, "optimizer": {"kind": "sgd", "lr": 1e-12}}
    path = write_chain(tmp_path, "tuned", chain)
    assert main([str(path)]) == 0
    tuned, before = read_state(tmp_path / "tuned" / "training" / "best.ckpt"), read_state(tiny_file)
    for name, value in tuned.items():
        if "running" not in name and "batches" not in name:
            torch.testing.assert_close(value, before[name], rtol=0, atol=1e-9)
    with PredictionFile(tmp_path / "tuned" / "predictions.h5") as predictions:
        assert predictions.attributes["weights"].endswith("best.ckpt")  # of this training, not those it began with
    assert main([str(path), "--set", "predict.checkpoint=tiny3d", "--only", "predict"]) == 0
    with PredictionFile(tmp_path / "tuned" / "predictions.h5") as predictions:
        assert predictions.attributes["weights"] == "tiny3d"


def test_other_classes_need_a_fresh_head(
    packaged: str, tmp_path: Path, chain: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    chain["weights"] = packaged
    chain["model"] = {"heads": {"semantic": {"classes": ["shower", "MIP", "HIP"]}, "gaps": None}}
    path = str(write_chain(tmp_path, "tuned", chain))
    assert main([path, "--only", "train"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert (
        "heads.semantic.classes: HIP, MIP, shower, delta, Michel in the weights, shower, MIP, HIP in the chain" in error
    )
    assert "train.fresh_heads" in error
    assert main([path, "--set", "train.fresh_heads=[semantics]", "--only", "train"]) == 2
    assert "semantics" in capsys.readouterr().err
    assert main([path, "--set", "train.fresh_heads=[semantic]", "--only", "train"]) == 0


def test_unknown_weights_and_missing_models_are_named(
    packaged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: dict[str, Any] = {"weights": "semantic4d", "data": {"test": TEST}, "predict": {}}
    assert main([str(write_chain(tmp_path, "use", steps))]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "semantic4d" in error
    assert packaged in error
    del steps["weights"]
    assert main([str(write_chain(tmp_path, "use", steps))]) == 2
    assert "weights: NAME" in capsys.readouterr().err


def test_copies_and_ensembles_in_a_chain(
    packaged: str, tiny_run: Path, tiny_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: dict[str, Any] = {"weights": packaged, "data": {"test": TEST}, "predict": {"augmentation": {"count": 1}}}
    chain = str(write_chain(tmp_path, "use", steps))
    predictions = tmp_path / "use" / "predictions.h5"

    def differs() -> float:
        pairs = zip(columns(predictions), columns(tiny_run / "predictions.h5"), strict=True)
        return max(float(np.nanmax(np.abs(ours - reference))) for ours, reference in pairs)

    assert main([chain]) == 0
    assert differs() == 0
    assert main([chain, "--set", "predict.augmentation={count: 3}"]) == 0
    assert differs() > 1e-6
    members = f"[{packaged}, {tiny_run}, {tiny_file}]"
    ensemble = [chain, "--set", f"predict={{ensemble: {members}}}"]
    assert main(ensemble) == 0
    assert differs() < 1e-6
    with PredictionFile(predictions) as file:
        assert file.attributes["weights"].split(", ")[::2] == [packaged, str(tiny_file)]
        assert file.attributes["weights_sha256"].split(", ")[::2] == [sha256_of(tiny_file)] * 2
    capsys.readouterr()
    assert main(ensemble) == 0
    assert "done before" in capsys.readouterr().out
    assert main([*ensemble, "predict.average_heads=[particles]"]) == 2
    assert "particles" in capsys.readouterr().err
