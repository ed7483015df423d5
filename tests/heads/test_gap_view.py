"""The view with regions and candidates, and the evaluation of what a network says of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_events import head_batch, make_event
from pydantic import ValidationError

from lartpc_sparse.cluster.gaps import voxels_of_line
from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.masked_view import MaskedShare
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.gap_view import HINTS, MaskRegionsConfig
from lartpc_sparse.heads.inpaint_crossings import owners
from lartpc_sparse.heads.inpaint_evaluator import InpaintEvaluationConfig, InpaintEvaluator
from lartpc_sparse.heads.inpaint_tuning import InpaintTuner
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.report.event_scores import _gap_f1 as event_f1

SLAB = {"kind": "slabs", "fixed": [{"axis": 0, "first": 14, "width": 5}]}
CLASSES = ("HIP", "MIP", "shower", "delta", "Michel", "low_energy")


def two_tracks(dim: int = 3) -> Event:
    """Straight tracks of classes HIP and MIP, one of which crosses the slab."""
    first = voxels_of_line(np.array([4.0, 10.0, 12.0][:dim]), np.array([28.0, 16.0, 9.0][:dim]))[0]
    second = voxels_of_line(np.array([2.0, 25.0, 2.0][:dim]), np.array([9.0, 30.0, 12.0][:dim]))[0]
    kinds = np.repeat([0, 1], [len(first), len(second)])
    return make_event(np.concatenate([first, second]), kinds, kinds, dim=dim, side=32)


def view(**settings: object) -> MaskRegionsConfig:
    return MaskRegionsConfig.model_validate({"regions": [SLAB], **settings})


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("kind", ["dense", "grown"])
def test_only_the_gap_changes_and_the_truth_is_told(dim: int, kind: str) -> None:
    event = two_tracks(dim)
    masked = view(candidates={"kind": kind}).build()(event, np.random.default_rng(0))
    outside = (event.coords[:, 0] < 14) | (event.coords[:, 0] >= 19)
    candidate = masked.labels["candidate"]
    np.testing.assert_array_equal(masked.coords[~candidate], event.coords[outside])
    assert masked.energy[~candidate].tobytes() == event.energy[outside].tobytes()
    energies = {tuple(row): value for row, value in zip(event.coords.tolist(), event.energy.tolist(), strict=True)}
    for row in np.flatnonzero(candidate):
        voxel = tuple(masked.coords[row].tolist())
        assert 14 <= voxel[0] < 19
        assert masked.labels["active"][row] == (voxel in energies)
        assert masked.labels["target_energy"][row] == np.float32(energies.get(voxel, 0.0))
        assert masked.labels["gap"][row] == 0
    assert masked.labels["active"].sum() == (~outside).sum()
    assert masked.gaps is not None
    assert masked.gaps.tolist() == [[[14] + [0] * (dim - 1), [19] + [32] * (dim - 1)]]


def test_initial_values() -> None:
    event = two_tracks()
    for value, low, high in ((-1.0, -1, -1), ("random", -1, 1), ("likelihood", 0, 1)):
        masked = view(seed_value=value).build()(event, np.random.default_rng(0))
        feats = masked.feats[masked.labels["candidate"], 0]
        assert low <= feats.min() <= feats.max() <= high
        assert value == -1.0 or feats.std() > 0


def test_context_leaves_out_what_is_far() -> None:
    event = two_tracks()
    masked = view(context=4).build()(event, np.random.default_rng(0))
    kept = masked.coords[~masked.labels["candidate"]]
    near = (event.coords[:, 0] >= 10) & (event.coords[:, 0] < 23)
    assert len(kept) == (near & ((event.coords[:, 0] < 14) | (event.coords[:, 0] >= 19))).sum()


def test_an_event_without_voxels_or_without_regions_keeps_its_columns() -> None:
    empty = make_event([], side=32)
    assert len(view().build()(empty, np.random.default_rng(0))) == 0
    drawn = MaskRegionsConfig.model_validate({"regions": [{"kind": "slabs"}]}).build()(empty, np.random.default_rng(0))
    assert {"candidate", "active", "target_energy", "gap", "crossing"} <= set(drawn.labels)


def test_the_view_of_inference_may_be_another() -> None:
    config = InpaintConfig.model_validate(
        {"inference_region": {"kind": "mask_regions", "regions": [SLAB]}, "region": {"kind": "mask_boxes", "size": 4}}
    )
    assert config.view() != config.inference_view()
    assert InpaintConfig().view() == InpaintConfig().inference_view()


def prediction_of(event: Event, found: np.ndarray, energy: np.ndarray, probability: np.ndarray) -> Prediction:
    inside = (event.coords[:, 0] >= 14) & (event.coords[:, 0] < 19)
    active = np.zeros(len(found), np.bool_)
    return Prediction(
        key=event.key,
        coords=event.coords,
        energy=event.energy,
        truth=dict(event.labels),
        columns={"gaps/gap": np.where(inside, 0, -1).astype(np.int32)},
        tables={
            "gaps": {
                "coords": found.astype(np.int32),
                "probability": probability.astype(np.float32),
                "energy": energy.astype(np.float32),
                "fill": np.where(probability >= 0.5, energy, 0).astype(np.float32),
                "gap": np.zeros(len(found), np.int64),
                "active": active,
                "target_energy": np.zeros(len(found), np.float32),
            },
            "gaps.boxes": {"low": np.array([[14, 0, 0]]), "high": np.array([[19, 32, 32]])},
            "truth:vertices": {"position": np.array([[4.5, 10.5, 12.5]], np.float32)},
        },
    )


def test_a_perfect_network_is_perfect_and_the_line_is_near() -> None:
    event = two_tracks()
    inside = (event.coords[:, 0] >= 14) & (event.coords[:, 0] < 19)
    evaluator = InpaintEvaluator(InpaintEvaluationConfig(), "gaps", CLASSES, 0.5)
    true, energy = event.coords[inside], event.energy[inside]
    evaluator.update(prediction_of(event, true, energy, np.ones(len(true))))
    result = evaluator.result()
    assert result["f1"] == result["tolerant"]["f1"] == 1
    assert set(result["baselines"]) == {"nothing", "line", "reflection"}
    tracks = result["tracks"]
    assert tracks["crossings"] == 1
    ours = tracks["methods"]["network"]
    assert (ours["f1"], ours["chamfer"]) == (1, 0)
    assert ours["earth_mover"] == pytest.approx(0, abs=1e-9)
    assert ours["charge"]["median"] == pytest.approx(1)
    for line in ("line", "line_true_ends"):
        assert tracks["methods"][line]["tolerant"]["f1"] == 1
    (kind,) = tracks["against"]["class"]
    assert (kind["name"], kind["crossings"]) == ("HIP", 1)
    widths = [(one["from"], one["crossings"]) for one in tracks["against"]["width"]]
    assert (5, 1) in widths
    assert sum(number for _, number in widths) == 1
    assert tracks["dedx"]["methods"]["network"] == pytest.approx(tracks["dedx"]["true"])
    assert result["classes"]["HIP"]["network"]["f1"] == 1


def test_missed_voxels_count_though_they_were_no_candidates() -> None:
    event = two_tracks()
    inside = (event.coords[:, 0] >= 14) & (event.coords[:, 0] < 19)
    true = event.coords[inside]
    evaluator = InpaintEvaluator(InpaintEvaluationConfig(), "gaps", CLASSES, 0.5)
    evaluator.update(prediction_of(event, true[:1], event.energy[inside][:1], np.ones(1)))
    result = evaluator.result()
    assert result["recall"] == pytest.approx(1 / len(true))
    assert result["voxels"]["true"] == [len(true)]


def test_what_the_file_says_was_filled_counts_and_not_the_threshold() -> None:
    event = two_tracks()
    inside = (event.coords[:, 0] >= 14) & (event.coords[:, 0] < 19)
    true, energy = event.coords[inside], event.energy[inside]
    prediction = prediction_of(event, true, energy, np.ones(len(true)))
    prediction.tables["gaps"]["fill"][1:] = 0  # as for crossings, whose thresholds are higher
    evaluator = InpaintEvaluator(InpaintEvaluationConfig(), "gaps", CLASSES, 0.5)
    evaluator.update(prediction)
    result = evaluator.result()
    assert result["recall"] == pytest.approx(1 / len(true))
    assert result["voxels"]["predicted"] == [1]
    prediction.tables["gaps"]["active"][:] = True
    assert event_f1(prediction.tables["gaps"], 0.5) == pytest.approx(2 / (1 + len(true)))


def crossing_output(batch: Batch, probability: float) -> dict[str, torch.Tensor]:
    """True voxels are certain, false ones beside them have one probability."""
    logit = torch.where(batch.labels["active"], 20.0, float(np.log(probability / (1 - probability))))
    return {"logit": logit, "energy": torch.ones(batch.num_voxels)}


@pytest.mark.parametrize(("share", "thin"), [(0.0, False), (0.9, True)])
def test_a_crossing_has_a_threshold_of_its_own(share: float, thin: bool) -> None:
    settings = {"region": {"kind": "mask_regions", "regions": [SLAB]}, "threshold": 0.1, "crossing_share": share}
    config = InpaintConfig.model_validate(settings)
    batch = head_batch(config, [two_tracks()])
    output = crossing_output(batch, 0.12)
    (table,) = config.build(in_channels=2, dim=3).decode(output, batch, None).tables
    assert table["active"].any()
    assert (table["fill"][table["active"]] > 0).all()
    assert (table["fill"][~table["active"]] > 0).any() != thin

    tuner = config.build(in_channels=2, dim=3).tuner()
    assert tuner is not None
    tuner.update(output, batch)
    trials = {trial["threshold"]: trial["f1"] for trial in tuner.result().trials}
    assert (trials[0.1] == 1) == thin  # what is tried is what is filled
    assert trials[0.14] == 1


def test_few_events_are_kept_for_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = InpaintConfig.model_validate({"region": {"kind": "mask_regions", "regions": [SLAB]}})
    plain = collate([two_tracks() for _ in range(5)])
    batch = head_batch(config, [two_tracks() for _ in range(5)])
    sizes = []
    for name, most in (("MOST_EVENTS", 1000), ("MOST_EVENTS", 2), ("MOST_CANDIDATES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(f"lartpc_sparse.heads.inpaint_tuning.{name}", most)
            tuner = InpaintTuner(config)
            tuner.update(crossing_output(batch, 0.12), batch, plain)
            sizes.append(len(tuner._seen))
    assert sizes == [5, 2, 1]


def test_made_up_voxels_belong_to_the_nearest_true_one() -> None:
    true = np.array([[0, 0], [9, 9], [5, 5]], np.int32)
    found = owners(
        np.array([[1, 1], [8, 8], [5, 5], [0, 0]], np.int32),
        np.array([0, 0, 0, 7]),
        true,
        np.array([0, 0, 1]),
    )
    assert found.tolist() == [0, 1, 1, -1] or found.tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize(
    "extra", [{"focal_gamma": 2.0}, {"charge_weight": 1.0}, {"regression": {"weighting": "homoscedastic"}}]
)
def test_every_loss_trains(extra: dict[str, object]) -> None:
    config = InpaintConfig.model_validate({"region": {"kind": "mask_regions", "regions": [SLAB]}, **extra})
    batch = head_batch(config, [two_tracks(), two_tracks()])
    head = config.build(in_channels=2, dim=3)
    n = batch.num_voxels
    output = {"logit": torch.zeros(n, requires_grad=True), "energy": torch.ones(n, requires_grad=True)}
    terms = head.loss(output, batch)
    torch.autograd.backward(sum(terms.values(), torch.zeros(())))
    assert torch.isfinite(output["logit"].grad).all()  # type: ignore[arg-type]
    assert output["logit"].grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("dim", [2, 3])
def test_hints_say_what_a_straight_line_would(dim: int) -> None:
    event = two_tracks(dim)
    masked = view(hints=True, hint_mev=2.0).build()(event, np.random.default_rng(0))
    candidate, active = masked.labels["candidate"], masked.labels["active"]
    likelihood, energy = masked.labels["hint_likelihood"], masked.labels["hint_energy"]
    assert not likelihood[~candidate].any()
    assert not energy[~candidate].any()
    assert (masked.feats[candidate] == 0).all()
    assert likelihood[active].min() > likelihood[candidate & ~active].mean()
    outside = (event.coords[:, 0] < 14) | (event.coords[:, 0] >= 19)
    near = event.energy[outside & (event.labels["instance"] == 0)]
    assert near.min() / 4 < energy[active].min() <= energy[active].max() < near.max()


def test_events_with_and_without_a_mask_share_a_batch_with_hints() -> None:
    config = InpaintConfig.model_validate({"region": {"kind": "mask_regions", "regions": [SLAB], "hints": True}})
    found = config.view()
    assert found is not None
    shared = [MaskedShare(found, share, config.hints)(two_tracks(), np.random.default_rng(0)) for share in (0.0, 1.0)]
    network = Network(
        ModelConfig.model_validate({"dim": 3, "backbone": {"kind": "uresnet", "filters": 2}, "heads": {"gaps": config}})
    )
    batch = collate(shared)
    given = network.input_features(batch)
    assert given.shape == (batch.num_voxels, 4)
    assert (given[:, 1].bool() == batch.labels["candidate"]).all()
    assert torch.equal(given[:, 2], batch.labels["hint_likelihood"])
    assert torch.equal(given[:, 3], batch.labels["hint_energy"])
    drawn = MaskRegionsConfig.model_validate({"regions": [{"kind": "slabs"}], "hints": True}).build()
    assert set(HINTS) <= set(drawn(make_event([], side=32), np.random.default_rng(0)).labels)


def test_both_views_must_give_hints_or_neither() -> None:
    plain, hinted = ({"kind": "mask_regions", "regions": [SLAB], "hints": hints} for hints in (False, True))
    with pytest.raises(ValidationError, match=r"inference_region\.hints must be true"):
        InpaintConfig.model_validate({"region": hinted, "inference_region": plain})
    assert InpaintConfig.model_validate({"region": plain, "inference_region": hinted}).hints == ()
