"""The inpainting head against the contract, and what is its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from head_contract import CHANNELS, HeadContract, crowd
from labelled_events import head_batch, line_event
from torch import Tensor

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.transforms import add_empty_mask
from lartpc_sparse.heads import HeadConfig, InpaintConfig
from lartpc_sparse.heads.losses import track_nontrack_terms
from lartpc_sparse.sparse import SparseTensor

SMALL = {"region": {"kind": "mask_boxes", "size": 4, "count": 2}}
TERMS = ("activation", "track", "nontrack")


def certain(active: Tensor, energy: Tensor) -> dict[str, Tensor]:
    return {"logit": torch.where(active, 20.0, -20.0), "energy": energy}


class TestInpaintHead(HeadContract):
    config: HeadConfig = InpaintConfig.model_validate(SMALL)
    terms = TERMS

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        del dim
        return {"logit": (n,), "energy": (n,)}

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        return certain(batch.labels["active"], batch.labels["target_energy"])

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        """The empty candidates filled with 2 MeV each, the active ones left empty."""
        return certain(~batch.labels["active"], torch.full_like(batch.energy, 2.0))

    def check_perfect(self, result: dict[str, Any]) -> None:
        assert result["gaps"] == len(result["charge"]["true"]) >= 2
        for score in ("precision", "recall", "f1", "iou"):
            assert result[score] == 1
            assert set(result["curve"][score]) == {1.0}
        assert result["charge"]["ratio"] == pytest.approx([1.0] * result["gaps"])
        assert result["charge"]["bias"] == pytest.approx(0)
        assert result["chamfer"]["mean"] == 0
        assert result["voxels"]["true"] == result["voxels"]["predicted"]
        assert result["baselines"]["nothing"]["recall"] == 0

    def check_bad(self, result: dict[str, Any]) -> None:
        assert result["precision"] == result["recall"] == result["iou"] == 0
        assert all(p >= 4 for p in result["voxels"]["predicted"])
        assert result["charge"]["predicted"] == [2.0 * n for n in result["voxels"]["predicted"]]
        assert result["chamfer"]["mean"] > 0

    def other_decoding(self) -> dict[str, Any]:
        return {
            "inference_region": {"kind": "mask_boxes", "size": 3},
            "threshold": [[5, 0.4], [20, 0.3]],
            "crossing_share": 0.7,
            "keep_probability": 0.1,
            "fill": "expected",
            "energy_scale": 2.0,
            "calibration": 1.1,
            "tune": ["calibration"],
        }

    def nothing_to_learn(self, batch: Batch) -> Batch:
        """The same voxels, none of them a candidate."""
        nothing = torch.zeros_like(batch.labels["candidate"])
        return dataclasses.replace(batch, labels={**batch.labels, "candidate": nothing, "active": nothing})


class TestRegions(TestInpaintHead):
    """Regions as geometry, with a dense grid."""

    config: HeadConfig = InpaintConfig.model_validate(
        {
            "region": {
                "kind": "mask_regions",
                "regions": [{"kind": "boxes", "size": 4, "count": [2, 2]}],
                "candidates": {"kind": "dense"},
            }
        }
    )


class TestLiteralForm(TestInpaintHead):
    """The form of the slides: one denominator, learnable weights."""

    config: HeadConfig = InpaintConfig.model_validate(
        {**SMALL, "regression": {"form": "literal", "weighting": "learned_softmax"}, "positive_weight": 3.0}
    )


def random_output(batch: Batch) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    n = batch.num_voxels
    return {"logit": torch.randn(n, generator=generator), "energy": 2 * torch.rand(n, generator=generator)}


def loss(batch: Batch, **settings: object) -> dict[str, Tensor]:
    head = InpaintConfig.model_validate({**SMALL, **settings}).build(in_channels=CHANNELS, dim=3)
    return head.loss(random_output(batch), batch)


def test_loss_equals_a_loop_over_the_candidates() -> None:
    batch = head_batch(InpaintConfig.model_validate(SMALL), crowd(3))
    output = random_output(batch)
    entropy, squared = [], {True: [0.0], False: [0.0]}
    for row in range(batch.num_voxels):
        if not batch.labels["candidate"][row]:
            continue
        active = bool(batch.labels["active"][row])
        p = torch.sigmoid(output["logit"][row]).item()
        entropy.append(-np.log(p) if active else -np.log(1 - p))
        squared[active].append((output["energy"][row] - batch.labels["target_energy"][row]).item() ** 2)
    found = loss(batch)
    assert found["activation"].item() == pytest.approx(np.mean(entropy), rel=1e-5)
    assert found["track"].item() == pytest.approx(0.5 * np.mean(squared[True][1:]), rel=1e-5)
    assert found["nontrack"].item() == pytest.approx(0.5 * np.mean(squared[False][1:]), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"energy_weight": 3.0}, (1.0, 3.0, 3.0)),
        ({"activation_weight": 3.0}, (3.0, 1.0, 1.0)),
        ({"regression": {"weights": (0.25, 0.5)}}, (1.0, 0.5, 1.0)),
        ({"regression": {"weights": (0.5, 2.0)}}, (1.0, 1.0, 4.0)),
        ({"regression": {"weighting": "learned_softmax", "weights": (0.2, 0.6)}}, (1.0, 0.5, 1.5)),
    ],
)
def test_every_weight_acts(settings: dict[str, object], factors: tuple[float, ...]) -> None:
    batch = head_batch(InpaintConfig.model_validate(SMALL), crowd(3))
    plain, other = loss(batch), loss(batch, **settings)
    for name, factor in zip(TERMS, factors, strict=True):
        torch.testing.assert_close(other[name], factor * plain[name])


def test_positive_weight_acts_on_active_candidates() -> None:
    batch = head_batch(InpaintConfig.model_validate(SMALL), crowd(3))
    chosen = batch.labels["candidate"]
    active = batch.labels["active"][chosen]
    each = F.binary_cross_entropy_with_logits(random_output(batch)["logit"][chosen], active.float(), reduction="none")
    expected = (each * torch.where(active, 4.0, 1.0)).mean()
    torch.testing.assert_close(loss(batch, positive_weight=4.0)["activation"], expected)


def test_literal_form_reaches_the_loss() -> None:
    batch = head_batch(InpaintConfig.model_validate(SMALL), crowd(3))
    chosen = batch.labels["candidate"]
    terms = track_nontrack_terms(
        random_output(batch)["energy"][chosen],
        batch.labels["target_energy"][chosen],
        batch.labels["active"][chosen],
        "literal",
    )
    found = loss(batch, regression={"form": "literal"})
    torch.testing.assert_close(found["track"], 0.5 * terms[0])
    torch.testing.assert_close(found["nontrack"], 0.5 * terms[1])


def test_voxels_outside_the_gaps_teach_nothing() -> None:
    config = InpaintConfig.model_validate(SMALL)
    batch = head_batch(config, crowd(3))
    output = {name: value.requires_grad_() for name, value in random_output(batch).items()}
    torch.autograd.backward(sum(config.build(in_channels=2, dim=3).loss(output, batch).values(), torch.zeros(())))
    for value in output.values():
        assert value.grad is not None
        assert value.grad[batch.labels["candidate"]].all()
        assert not value.grad[~batch.labels["candidate"]].any()


@pytest.mark.parametrize("size", [4, 40])
def test_table_holds_the_probable_and_the_active_candidates(size: int) -> None:
    """With boxes of 40 the whole image is one gap, the first and the last voxel of an event included."""
    config = InpaintConfig.model_validate({"region": {"kind": "mask_boxes", "size": size}, "keep_probability": 0.4})
    batch = head_batch(config, crowd(2))
    output = random_output(batch)
    tables = config.build(in_channels=2, dim=3).decode(output, batch, None).tables
    probability = torch.sigmoid(output["logit"]).numpy()
    for number, table in enumerate(tables):
        rows = [
            row
            for row in range(int(batch.offsets[number]), int(batch.offsets[number + 1]))
            if batch.labels["candidate"][row] and (probability[row] >= 0.4 or batch.labels["active"][row])
        ]
        np.testing.assert_array_equal(table["coords"], batch.coords[rows].numpy())
        np.testing.assert_array_equal(table["energy"], output["energy"][rows].numpy())
        np.testing.assert_allclose(table["probability"], probability[rows], rtol=1e-6)
        for name in ("active", "target_energy", "gap"):
            np.testing.assert_array_equal(table[name], batch.labels[name][rows].numpy())
    assert len(tables[1]["gap"]) == 0  # the empty event


def test_energy_is_positive_and_linear_far_from_zero() -> None:
    head = InpaintConfig().build(in_channels=1, dim=3)
    torch.nn.init.ones_(head.predict.weight)
    torch.nn.init.zeros_(head.predict.bias)
    batch = collate([add_empty_mask(line_event(3)).select(np.arange(3))])
    feats = torch.tensor([[-50.0], [0.0], [50.0]])
    output = head({"features": SparseTensor.build(batch.coords, feats, batch.offsets)}, batch)
    torch.testing.assert_close(output["energy"], torch.tensor([0.0, np.log(2), 50.0]), check_dtype=False)
    assert (output["energy"] >= 0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mask_fraction": 0},
        {"threshold": 1.0},
        {"regression": {"form": "harsh"}},
        {"regression": {"weights": (-1.0, 1.0)}},
        {"regression": {"weights": (0.0, 1.0), "weighting": "learned_softmax"}},
        {"region": {"kind": "crop", "size": 3}},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        InpaintConfig.model_validate(wrong)
