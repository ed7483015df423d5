"""Options of the evaluation: they repeat the evaluation alone, and the terminal shows the intervals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.steps import RunFolder
from lartpc_sparse.steps.semantic_rows import semantic_rows
from lartpc_sparse.steps.step_inputs import step_inputs


def test_other_bins_do_not_repeat_the_training(
    small_steps: dict[str, dict[str, dict[str, dict[str, object]]]],
    small_chain: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    del small_chain
    small_steps["run"]["output_dir"] = str(tmp_path)  # type: ignore[assignment]
    before = ChainConfig.model_validate(yaml.safe_load(yaml.safe_dump(small_steps)))
    small_steps["model"]["heads"]["semantic"]["evaluate"] = {"bins": {"energy": [1, 2]}, "bootstrap": 7}
    after = ChainConfig.model_validate(small_steps)
    for step, same in (("train", True), ("predict", True)):
        assert (step_inputs(step, before, RunFolder(before)) == step_inputs(step, after, RunFolder(after))) is same
    (tmp_path / "predictions.h5").touch()
    assert step_inputs("evaluate", before, RunFolder(before)) != step_inputs("evaluate", after, RunFolder(after))


def test_other_thresholds_do_not_repeat_the_training(
    small_steps: dict[str, dict[str, dict[str, dict[str, object]]]], tmp_path: Path
) -> None:
    small_steps["run"]["output_dir"] = str(tmp_path)  # type: ignore[assignment]
    before = ChainConfig.model_validate(yaml.safe_load(yaml.safe_dump(small_steps)))
    small_steps["model"]["heads"]["gaps"] |= {"threshold": 0.3, "crossing_share": 0.5, "tune": ["calibration"]}
    after = ChainConfig.model_validate(yaml.safe_load(yaml.safe_dump(small_steps)))
    small_steps["model"]["heads"]["gaps"]["energy_weight"] = 0.4
    other = ChainConfig.model_validate(small_steps)
    folder = RunFolder(before)
    assert step_inputs("train", before, folder) == step_inputs("train", after, folder)
    assert step_inputs("train", after, folder) != step_inputs("train", other, folder)
    assert step_inputs("predict", before, folder) != step_inputs("predict", after, folder)


def test_a_vote_does_not_repeat_the_training(
    small_steps: dict[str, dict[str, dict[str, dict[str, object]]]], tmp_path: Path
) -> None:
    small_steps["run"]["output_dir"] = str(tmp_path)  # type: ignore[assignment]
    before = ChainConfig.model_validate(yaml.safe_load(yaml.safe_dump(small_steps)))
    small_steps["model"]["heads"]["semantic"] |= {"vote": {"clusters": {"kind": "connected"}}, "decisions": {}}
    after = ChainConfig.model_validate(small_steps)
    folder = RunFolder(before)
    assert step_inputs("train", before, folder) == step_inputs("train", after, folder)
    assert step_inputs("predict", before, folder) != step_inputs("predict", after, folder)


def test_rows_of_the_terminal() -> None:
    scores = {"recall": 0.9, "precision": None}
    two = {"accuracy": 0.95, "per_class": {"track": {"recall": 0.97}, "shower": {"recall": 0.93}}}
    head = {
        "accuracy": 0.91,
        "macro": {"f1": 0.8},
        "per_class": {"HIP": scores},
        "track_shower": two,
        "intervals": {"accuracy": {"68": [0.905, 0.915]}, "per_class": {"HIP": {"recall": None}}},
        "calibration": {"all": {"ece": 0.01}},
        "subsets": {"nue": {"accuracy": 0.5, "track_shower": two, "intervals": None}},
    }
    rows = {title: (value, interval) for title, value, interval in semantic_rows(head)}
    assert rows["accuracy"] == (0.91, "0.9050 to 0.9150")
    assert rows["recall HIP"] == (0.9, "")
    assert rows["precision HIP"] == (None, "")
    assert rows["accuracy track"] == (0.97, "")
    assert rows["nue: accuracy shower"] == (0.93, "")
    assert rows["expected calibration error"] == (0.01, "")
    old = {name: value for name, value in head.items() if name not in ("intervals", "calibration", "subsets")}
    assert len(semantic_rows(old)) == 7
