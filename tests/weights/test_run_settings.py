"""Weights of a run are used as the run uses them now, and a further training begins without that."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from weights_chain import CHAIN

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights import describe, describe_as_used, sha256_of
from lartpc_sparse.weights.export import export_weights

TEST = CHAIN["data"]["test"]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """The run with other decoding options than its checkpoint has, after a step `tune`."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    chain = yaml.safe_load((folder / "config.yaml").read_text())
    chain["model"]["heads"]["gaps"] |= {"threshold": 0.35, "crossing_share": 0.7, "prior": 0.3}
    chain["tune"] = {"output": "mine.json"}
    (folder / "config.yaml").write_text(yaml.safe_dump(chain))
    write_tuned(folder, {"gaps": {"calibration": [[5, 1.5], [9, 2.0]]}})
    return folder


def write_tuned(folder: Path, settings: Any, **changed: Any) -> None:
    tuned = {"weights_sha256": sha256_of(folder / "training" / "best.ckpt"), "settings": settings}
    (folder / "mine.json").write_text(json.dumps(tuned | changed))


def gaps_of(config: ChainConfig) -> InpaintConfig:
    assert config.model is not None
    head = config.model.heads["gaps"]
    assert isinstance(head, InpaintConfig)
    return head


def settings_of(head: InpaintConfig) -> tuple[object, ...]:
    return head.threshold, head.crossing_share, head.calibration, head.prior


NOW = (0.35, 0.7, ((5.0, 1.5), (9.0, 2.0)), 0.02)
"""`prior` repeats a training: the weights keep theirs."""


def using(run: Path, **sections: Any) -> ChainConfig:
    return ChainConfig.model_validate({"weights": str(run), "data": {"test": TEST}, "predict": {}, **sections})


def test_a_chain_uses_weights_as_their_run_does(run: Path) -> None:
    assert settings_of(gaps_of(using(run))) == NOW


def test_so_does_whoever_takes_them_without_a_chain(run: Path) -> None:
    head = describe_as_used(run / "training" / "best.ckpt").model_config().heads["gaps"]
    assert isinstance(head, InpaintConfig)
    assert settings_of(head) == NOW


def test_exported_weights_keep_it(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    export_weights(str(run), "mine", output, storage="float32")
    head = describe(output).model_config().heads["gaps"]
    assert isinstance(head, InpaintConfig)
    assert settings_of(head) == NOW


def test_a_further_training_does_not_inherit_what_was_chosen_for_another_network(run: Path) -> None:
    train = {"epochs": 1, "fresh_heads": ["gaps"]}
    before = using(run, train=train, data={"train": TEST, "test": TEST})
    assert settings_of(gaps_of(before)) == (0.5, 0.0, 1.0, 0.02)
    write_tuned(run, {"gaps": {"calibration": 3.0}})  # nor is it repeated when the first run is tuned again
    assert using(run, train=train, data={"train": TEST, "test": TEST}) == before


def test_settings_of_other_weights_are_not_used_and_that_is_said(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tuned(run, {"gaps": {"calibration": 3.0}}, weights_sha256="0" * 64)
    with caplog.at_level(logging.WARNING):
        assert gaps_of(using(run)).calibration == 1.0
    assert "mine.json is of other weights" in caplog.text


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"settings": {}}', '{"weights_sha256": "", "settings": {"gaps": 3}}']
)
def test_damaged_settings_are_refused_by_name(run: Path, content: str) -> None:
    (run / "mine.json").write_text(content)
    with pytest.raises(UserError, match=r"mine\.json is damaged .*run the step tune again"):
        describe_as_used(run / "training" / "best.ckpt")
    with pytest.raises(ValidationError, match=r"mine\.json is damaged"):
        using(run)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gaps": {"threshold": 2}}, r"mine\.json: settings\.gaps\.threshold.*run the step tune again"),
        ({"other": {"threshold": 0.2}}, r"mine\.json is of a head other that the model does not have"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(run: Path, settings: object, said: str) -> None:
    write_tuned(run, settings)
    with pytest.raises(UserError, match=said):
        describe_as_used(run / "training" / "best.ckpt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "cannot be read"),
        ("- 1", "is not the resolved"),
        ("model: all", "is not the resolved"),
        ("model: {heads: [gaps]}", "is not the resolved"),
        ("tune: true", "is not the resolved"),
        ("tune: {output: 3}", "is not the resolved"),
    ],
)
def test_a_damaged_chain_is_refused_by_name(run: Path, text: str, said: str) -> None:
    (run / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"config\.yaml {said}"):
        describe_as_used(run / "training" / "best.ckpt")


def test_a_run_that_no_longer_tunes_takes_nothing_of_an_earlier_tune(run: Path) -> None:
    (run / "mine.json").rename(run / "tuned.json")
    chain = yaml.safe_load((run / "config.yaml").read_text())
    for without in ({"tune": None}, {}):
        text = yaml.safe_dump({key: value for key, value in chain.items() if key != "tune"} | without)
        (run / "config.yaml").write_text(text)
        assert gaps_of(using(run)).calibration == 1.0
    (run / "config.yaml").unlink()
    assert gaps_of(using(run)).calibration == ((5.0, 1.5), (9.0, 2.0))


def test_options_that_do_not_fit_the_trained_network_are_refused_by_name(run: Path) -> None:
    chain = yaml.safe_load((run / "config.yaml").read_text())
    chain["model"]["heads"]["gaps"]["threshold"] = 2
    (run / "config.yaml").write_text(yaml.safe_dump(chain))
    with pytest.raises(UserError, match=r"config\.yaml: model\.heads\.gaps\.threshold.*or train again"):
        describe_as_used(run / "training" / "best.ckpt")


def test_how_the_path_is_written_does_not_matter(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run / "training")
    head = describe_as_used(Path("best.ckpt")).model_config().heads["gaps"]
    assert isinstance(head, InpaintConfig)
    assert settings_of(head) == NOW


def test_a_checkpoint_outside_of_a_run_speaks_for_itself(run: Path, tmp_path: Path) -> None:
    lone = tmp_path / "elsewhere" / "best.ckpt"
    lone.parent.mkdir()
    shutil.copy(run / "training" / "best.ckpt", lone)
    shutil.copy(run / "config.yaml", tmp_path / "config.yaml")
    assert describe_as_used(lone).model == describe(lone).model
    export_weights(str(lone), "mine", tmp_path / "mine.safetensors", storage="float32")
    assert describe(tmp_path / "mine.safetensors").model_config() == describe(lone).model_config()
