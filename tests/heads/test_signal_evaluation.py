"""The evaluation of pixel selection: both methods on the same frames, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_source import SIZE, made_reader, prediction_of

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.heads import SignalConfig
from lartpc_sparse.schema import UserError


def evaluated(folder: Path, **options: Any) -> dict[str, Any]:
    """Three frames with one bright square each (6 keV electron) and a faint nuclear recoil; perfect selection."""
    reader = made_reader(folder)
    config = SignalConfig.model_validate(
        {
            "clusters": {"method": {"kind": "connected"}, "binning": 2},
            "evaluate": {"examples": 2, "energies_kev": [0.25, 1, 6], **options},
        }
    )
    evaluator = config.evaluator("s", ("background", "signal"))
    evaluator.use_events(reader)
    for index in range(len(reader)):
        event = reader.read(index)
        evaluator.update(prediction_of(event, event.labels["semantic"] == 1))
    return evaluator.result()


def test_a_perfect_selection_finds_what_can_be_seen(tmp_path: Path) -> None:
    result = evaluated(tmp_path)
    assert result["pixels"]["recall"] == result["pixels"]["precision"] == 1
    network = result["methods"]["network"]
    assert network["images"] == 8
    assert network["fakes_per_image"] == 0
    (electron,) = network["electron"]
    assert (electron["energy_kev"], electron["efficiency"]["part"], electron["efficiency"]["n"]) == (6, 8, 8)
    assert electron["efficiency"]["low"] == pytest.approx(0.025 ** (1 / 8))
    assert electron["ratio_median"] == pytest.approx(1, abs=0.1)
    (nuclear,) = network["nuclear"]
    assert nuclear["efficiency"]["value"] == 0
    assert nuclear["ratio_median"] is None
    assert network["pixels_to_clustering"] == pytest.approx(result["pixels"]["selected"] / 8)
    assert "classical" not in result["methods"]


def test_the_classical_chain_sees_the_same_frames(tmp_path: Path) -> None:
    steps = [{"kind": "bad_pixels"}, {"kind": "pedestal"}, {"kind": "zero_suppression", "nsigma": 3}]
    classical = {"preprocess": [*steps, {"kind": "rebin", "factor": 2}], "clusters": {"binning": 2}}
    result = evaluated(tmp_path, classical=classical)
    found = result["methods"]["classical"]
    assert found["electron"][0]["efficiency"]["part"] == 8
    assert set(found["seconds"]) == {"bad_pixels", "pedestal", "zero_suppression", "rebin", "clustering", "total"}
    assert found["seconds"]["total"] > 0
    (example,) = result["examples"]  # electrons of 6 keV are not among the kinds that are shown
    assert example["nuclear"]
    assert np.array(example["frame"]).shape == (8, 8)
    assert set(example["clusters"]) == {"network", "classical"}


def test_a_flooded_frame_is_not_clustered(tmp_path: Path) -> None:
    steps = [{"kind": "pedestal"}, {"kind": "rebin", "factor": 2}]
    classical = {"preprocess": steps, "clusters": {"binning": 2}, "max_pixels": 10}
    result = evaluated(tmp_path, classical=classical)
    assert result["methods"]["classical"]["electron"][0]["efficiency"]["value"] == 0


def test_without_frames_there_are_pixels_only_and_the_classical_chain_is_refused(tmp_path: Path) -> None:
    event = made_reader(tmp_path).read(0)
    evaluator = SignalConfig().evaluator("s", ("background", "signal"))
    evaluator.update(prediction_of(event, np.ones(len(event), dtype=np.bool_)))
    result = evaluator.result()
    assert result["methods"] == {}
    assert result["pixels"]["recall"] == 1
    refusing = SignalConfig.model_validate({"evaluate": {"classical": {}}}).evaluator("s", ("background", "signal"))
    with pytest.raises(UserError, match="use the reader `frames`"):
        refusing.use_events(object())
    assert SIZE == (16, 24)


@pytest.mark.parametrize("use", ["train", "test"])
def test_images_and_clusters_of_another_binning_are_refused_with_the_configuration(use: str) -> None:
    frames = {"kind": "frames", "files": ["a.h5"], "pedestal": "p.h5", "preprocess": [{"kind": "rebin", "factor": 2}]}
    head = {"kind": "signal", "clusters": {"binning": 4}}
    values = {"data": {use: frames}, "model": {"dim": 2, "heads": {"pixels": head}}}
    with pytest.raises(ValueError, match=r"heads\.pixels\.clusters has binning 4, but the reader rebins by 2"):
        ChainConfig.model_validate(values)
    head["clusters"] = {"binning": 2}
    assert ChainConfig.model_validate(values).model is not None
