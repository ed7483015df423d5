"""Tuning of decoding settings: every setting scored as decoding and evaluating with it would."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from labelled_events import CLASSES, empty_event, head_batch, line_event, make_event, random_event, to_predictions
from torch import Tensor

from lartpc_sparse.cluster.gaps import voxels_of_line
from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.heads import (
    Head,
    HeadConfig,
    InpaintConfig,
    SemanticConfig,
    SpatialEmbeddingConfig,
    VoxelGraphConfig,
)

CHANNELS = 4
SCORES = ("ari", "purity", "efficiency", "sbd")


def output_of(config: HeadConfig, batch: Batch) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    n, dim = batch.coords.shape
    noise = torch.randn(n, 16, generator=generator)
    if isinstance(config, VoxelGraphConfig):
        return {"features": batch.labels["instance"].float()[:, None] + 0.5 * noise}
    where = batch.labels["instance"].float()[:, None] / 5 + 0.05 * noise[:, :dim]
    return {"embedding": where, "margin": torch.full((n,), 0.05), "seediness": torch.sigmoid(2 * noise[:, -1])}


def decoded_scores(config: HeadConfig, head: Head, output: dict[str, Tensor], batch: Batch) -> dict[str, Any]:
    again = config.build(in_channels=CHANNELS, dim=batch.coords.shape[1])
    again.load_state_dict(head.state_dict())
    evaluator = config.evaluator("mine", CLASSES)
    for prediction in to_predictions(batch, {"mine": again.decode(output, batch, None)}):
        evaluator.update(prediction)
    result: dict[str, Any] = evaluator.result()["semantics"]["true"]
    return result


REFINE = {
    "track": [{"kind": "split_unconnected"}, {"kind": "join_collinear", "min_voxels": 3}],
    "shower": [{"kind": "absorb_small", "min_voxels": 4, "radius": 3}],
}


@pytest.mark.parametrize("kind", ["voxel_graph", "spatial_embedding"])
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("refined", [False, True])
def test_a_trial_is_what_decoding_with_its_settings_scores(kind: str, dim: int, refined: bool) -> None:
    torch.manual_seed(0)
    config: HeadConfig
    refine: dict[str, Any] = {"refine": REFINE} if refined else {}
    if kind == "voxel_graph":
        config = VoxelGraphConfig.model_validate(refine)
    else:
        inside = {"inside_components": ["delta", "shower"]} if refined else {"split_unconnected": True}
        config = SpatialEmbeddingConfig.model_validate(refine | inside)
    events = [random_event(1, dim, 60, 0), empty_event(dim, 1), line_event(dim, 2, 2), random_event(3, dim, 40, 3)]
    batch = head_batch(config, events)
    head = config.build(in_channels=CHANNELS, dim=dim)
    output = output_of(config, batch)
    tuner = head.tuner()
    assert tuner is not None
    tuner.update(output, batch)
    tuned = tuner.result()
    json.dumps(tuned.trials, allow_nan=False)
    names = ("reach", "far", "threshold") if kind == "voxel_graph" else ("seed", "probability")
    section = "linkage" if kind == "voxel_graph" else "thresholds"
    for trial in tuned.trials[:: max(1, len(tuned.trials) // 9)]:
        if not trial["events"]:
            continue
        values = config.model_dump(mode="json")
        values[section][trial["class"]] |= {name: trial[name] for name in names}
        found = decoded_scores(type(config).model_validate(values), head, output, batch)[trial["class"]]
        for score in SCORES:
            assert trial[score] == pytest.approx(found[score]["mean"]), (trial, score)
    for name, best in tuned.settings[section].items():
        own = [trial for trial in tuned.trials if trial["class"] == name]
        chosen = next(trial for trial in own if all(trial[key] == best[key] for key in names))
        assert chosen["ari"] + chosen["sbd"] == max(trial["ari"] + trial["sbd"] for trial in own)
    assert "Michel" not in tuned.settings[section] or any(t["class"] == "Michel" and t["events"] for t in tuned.trials)


@pytest.mark.parametrize("kind", ["voxel_graph", "spatial_embedding"])
def test_batches_add_up(kind: str) -> None:
    config: HeadConfig = VoxelGraphConfig() if kind == "voxel_graph" else SpatialEmbeddingConfig()
    events = [random_event(1, 3, 60, 0), line_event(3, 2, 1)]
    head = config.build(in_channels=CHANNELS, dim=3)
    whole, parts = head.tuner(), head.tuner()
    assert whole is not None
    assert parts is not None
    batch = head_batch(config, events)
    output = output_of(config, batch)
    whole.update(output, batch)
    for number, (start, stop) in enumerate(zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)):
        one = head_batch(config, [events[number]])
        parts.update({name: value[start:stop] for name, value in output.items()}, one)
    for one_trial, other in zip(whole.result().trials, parts.result().trials, strict=True):
        assert one_trial == pytest.approx(other)


def test_the_activation_threshold_has_the_highest_f1() -> None:
    config = InpaintConfig()
    batch = head_batch(config, [random_event(1, 3, 60, 0), line_event(3, 2, 1)])
    active, candidate = batch.labels["active"], batch.labels["candidate"]
    generator = torch.Generator().manual_seed(0)
    logit = 2.0 * active.float() - 1.0 + torch.randn(batch.num_voxels, generator=generator)
    tuner = config.build(in_channels=CHANNELS, dim=3).tuner()
    assert tuner is not None
    tuner.update({"logit": logit, "energy": torch.ones_like(logit)}, batch)
    tuned = tuner.result()
    probability = torch.sigmoid(logit).double()
    for trial in tuned.trials:
        said = (probability >= trial["threshold"]) & candidate
        hits = int((said & active).sum())
        expected = 2 * hits / max(int(said.sum()) + int((active & candidate).sum()), 1)
        assert trial["f1"] == pytest.approx(expected)
    assert max(trial["f1"] for trial in tuned.trials) == pytest.approx(
        next(trial["f1"] for trial in tuned.trials if trial["threshold"] == tuned.settings["threshold"])
    )


@pytest.mark.parametrize("config", [VoxelGraphConfig(), SpatialEmbeddingConfig(), InpaintConfig()])
def test_without_truth_nothing_changes(config: HeadConfig) -> None:
    tuner = config.build(in_channels=CHANNELS, dim=3).tuner()
    assert tuner is not None
    settings = tuner.result().settings
    values = config.model_dump(mode="json")
    for name, value in settings.items():
        assert value in ({}, values[name])


def test_a_head_without_thresholds_has_no_tuner() -> None:
    assert SemanticConfig().build(in_channels=CHANNELS, dim=3).tuner() is None


def crossing_track(number: int) -> Event:
    """A straight track along the first axis."""
    start = np.array([4.0, 6.0 + number % 8, 9.0])
    coords = voxels_of_line(start, start + np.array([22.0, 3.0, 2.0]))[0]
    return make_event(coords, np.zeros(len(coords)), np.zeros(len(coords)), entry=number, side=32)


def test_true_voxels_that_are_no_candidates_lower_the_f1_and_charge_is_calibrated() -> None:
    config = InpaintConfig.model_validate(
        {
            "region": {
                "kind": "mask_regions",
                "regions": [{"kind": "slabs", "fixed": [{"axis": 0, "first": 14, "width": 4}]}],
                "candidates": {"kind": "grown", "reflect": False},
            }
        }
    )
    events = [crossing_track(number) for number in range(24)]
    stray = np.array([[15, 30, 30]], np.int32)  # nothing points at it
    events[0] = make_event(
        np.concatenate([events[0].coords, stray]),
        np.append(events[0].labels["semantic"], 5),
        np.append(events[0].labels["instance"], -1),
        side=32,
    )
    plain = collate(events)
    batch = head_batch(config, events)
    active = batch.labels["active"]
    output = {"logit": torch.where(active, 9.0, -9.0), "energy": batch.labels["target_energy"] * 0.5}
    tuner = config.build(in_channels=CHANNELS, dim=3).tuner()
    assert tuner is not None
    tuner.update(output, batch, plain)
    tuned = tuner.result()
    found = int(active.sum())
    missed = sum(int(((event.coords[:, 0] >= 14) & (event.coords[:, 0] < 18)).sum()) for event in events) - found
    assert missed >= 1
    best = max(trial["f1"] for trial in tuned.trials)
    assert best == pytest.approx(2 * found / (2 * found + missed))
    assert tuned.settings["calibration"] == pytest.approx(2.0)
    few = config.build(in_channels=CHANNELS, dim=3).tuner()
    assert few is not None
    small = head_batch(config, events[:3])
    rows = small.num_voxels
    few.update({name: value[:rows] for name, value in output.items()}, small, collate(events[:3]))
    assert "calibration" not in few.result().settings
    for chosen in ("threshold", "calibration"):
        one = config.model_copy(update={"tune": (chosen,), "threshold": 0.3}).build(in_channels=CHANNELS, dim=3).tuner()
        assert one is not None
        one.update(output, batch, plain)
        assert set(one.result().settings) == {chosen}
    assert config.model_copy(update={"tune": ()}).build(in_channels=CHANNELS, dim=3).tuner() is None
