"""The spatial-embedding head against the contract, and what is its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from embedding_events import decode_slowly, events
from head_contract import CHANNELS, HeadContract, crowd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from labelled_events import CLASSES, head_batch, line_event, make_event, to_predictions
from torch import Tensor

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.heads import HeadConfig, SemanticLabels, SpatialEmbeddingConfig, normalised_coordinates
from lartpc_sparse.heads.losses import embedding_loss_terms, find_instances
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import SparseTensor

TERMS = ("mask", "separation", "smoothing", "seediness")


class TestSpatialEmbeddingHead(HeadContract):
    config: HeadConfig = SpatialEmbeddingConfig()
    terms = TERMS

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        return {"embedding": (n, dim), "margin": (n,), "seediness": (n,)}

    def other_decoding(self) -> dict[str, Any]:
        assert isinstance(self.config, SpatialEmbeddingConfig)
        return {
            "refine": {"track": [{"kind": "absorb_small", "min_voxels": 7}]},
            "particles": {"kind": "geometric"},
            "thresholds": {name: {"seed": 0.6, "probability": 0.3} for name in self.config.classes},
            "inside_components": ["track"],
            "split_unconnected": True,
            "leftover": "unassigned" if self.config.leftover == "nearest" else "nearest",
        }

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        """Every instance a point of its own."""
        n, dim = batch.coords.shape
        where = batch.labels["instance"].float() / 10
        return {
            "embedding": where[:, None].expand(n, dim).contiguous(),
            "margin": torch.full((n,), 0.01),
            "seediness": torch.full((n,), 0.99),
        }

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        """Every voxel a cluster of its own."""
        return {
            "embedding": normalised_coordinates(batch),
            "margin": torch.full((batch.num_voxels,), 1e-3),
            "seediness": torch.full((batch.num_voxels,), 0.99),
        }

    def check_perfect(self, result: dict[str, Any]) -> None:
        scores = result["semantics"]["true"]
        assert set(scores) == {"track", "shower"}  # the other classes have no instance
        for name in scores:
            for score in ("ari", "purity", "efficiency", "sbd"):
                assert scores[name][score]["values"] == [1.0, 1.0]
        assert scores["track"]["n_true"] == scores["track"]["n_predicted"] == [3, 3]
        assert scores["shower"]["n_predicted"] == [1, 1]
        assert result["mean_ari"]["true"] == 1
        assert "predicted" not in result["semantics"]  # no semantic head was asked
        assert set(result["baselines"]["connected_components"]) == {"track", "shower"}

    def check_bad(self, result: dict[str, Any]) -> None:
        scores = result["semantics"]["true"]
        for name in scores:
            assert scores[name]["ari"]["mean"] == pytest.approx(0, abs=1e-9)
            assert scores[name]["purity"]["mean"] == 1
            assert scores[name]["efficiency"]["mean"] == pytest.approx(1 / 9, abs=0.02)
            assert scores[name]["sbd"]["mean"] < 0.25
        assert result["mean_ari"]["true"] == pytest.approx(0, abs=1e-9)

    def nothing_to_learn(self, batch: Batch) -> Batch:
        nothing = torch.full_like(batch.labels["instance"], -1)
        return dataclasses.replace(batch, labels={**batch.labels, "instance": nothing})


class TestFocalMaskOfTracks(TestSpatialEmbeddingHead):
    """Another mask loss and two classes only."""

    config: HeadConfig = SpatialEmbeddingConfig.model_validate(
        {"mask_loss": "focal", "classes": {"track": ("HIP", "MIP"), "shower": ("shower",)}, "leftover": "unassigned"}
    )


def random_output(batch: Batch) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    n, dim = batch.coords.shape
    return {
        "embedding": 0.3 * torch.randn(n, dim, generator=generator),
        "margin": 0.1 + torch.rand(n, generator=generator),
        "seediness": torch.rand(n, generator=generator),
    }


@pytest.mark.parametrize("term", TERMS)
def test_every_loss_weight_acts_on_its_term_alone(term: str) -> None:
    plain = SpatialEmbeddingConfig()
    scaled = SpatialEmbeddingConfig.model_validate({"loss_weights": {term: 2.5}})
    batch = head_batch(plain, crowd(3))
    output = random_output(batch)
    one = plain.build(in_channels=CHANNELS, dim=3).loss(output, batch)
    other = scaled.build(in_channels=CHANNELS, dim=3).loss(output, batch)
    for name in TERMS:
        assert one[name] > 0
        torch.testing.assert_close(other[name], one[name] * (2.5 if name == term else 1.0))


def test_loss_takes_the_classes_of_the_head() -> None:
    """Low energy and unlabelled voxels are left out; HIP and MIP are one class."""
    config = SpatialEmbeddingConfig()
    batch = head_batch(config, crowd(3))
    output = random_output(batch)
    group = torch.tensor([1, 1, 0, 3, 2, -1, -1])[batch.labels["semantic"]]
    found = find_instances(batch.labels["instance"], group, batch.batch_index())
    embedding, margin, seediness = (output[name][found.voxels] for name in ("embedding", "margin", "seediness"))
    expected = embedding_loss_terms(embedding, margin, seediness, found)
    for name, value in config.build(in_channels=CHANNELS, dim=3).loss(output, batch).items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize(
    ("setting", "value", "term"),
    [("mask_loss", "bce", "mask"), ("separation_delta", 0.5, "separation")],
)
def test_settings_reach_the_loss(setting: str, value: object, term: str) -> None:
    batch = head_batch(SpatialEmbeddingConfig(), crowd(3))
    output = random_output(batch)
    plain = SpatialEmbeddingConfig().build(in_channels=CHANNELS, dim=3).loss(output, batch)
    other = SpatialEmbeddingConfig.model_validate({setting: value}).build(in_channels=CHANNELS, dim=3)
    changed = {name for name, found in other.loss(output, batch).items() if found != plain[name]}
    assert changed == {term}


def test_focal_gamma_reaches_the_loss() -> None:
    batch = head_batch(SpatialEmbeddingConfig(), crowd(3))
    output = random_output(batch)
    found = [
        SpatialEmbeddingConfig(mask_loss="focal", focal_gamma=gamma)
        .build(in_channels=CHANNELS, dim=3)
        .loss(output, batch)["mask"]
        .item()
        for gamma in (0.0, 2.0)
    ]
    assert found[0] > found[1] > 0


@pytest.mark.parametrize("dim", [2, 3])
def test_forward_is_the_published_formula(dim: int) -> None:
    """e = x + tanh(o), sigma = 2 sigmoid(o_{D+1}), s = sigmoid(q); one stream for each decoder."""
    config = SpatialEmbeddingConfig()
    head = config.build(in_channels=2, dim=dim)
    batch = collate([line_event(dim)])
    generator = torch.Generator().manual_seed(0)
    feats = {name: torch.randn(batch.num_voxels, 2, generator=generator) for name in config.streams}
    output = head({name: SparseTensor.build(batch.coords, x, batch.offsets) for name, x in feats.items()}, batch)
    raw = feats["embedding"] @ head.embed.weight.T + head.embed.bias
    seed = feats["seediness"] @ head.seed.weight.T + head.seed.bias
    x = (batch.coords - 8) / 8  # image of side 16
    torch.testing.assert_close(output["embedding"], x + torch.tanh(raw[:, :dim]))
    torch.testing.assert_close(output["margin"], 2 / (1 + torch.exp(-raw[:, dim])))
    torch.testing.assert_close(output["seediness"], 1 / (1 + torch.exp(-seed[:, 0])))


@pytest.mark.parametrize("margin", [0.02, 0.1, 1.0, 1.9])
def test_a_new_head_clusters_by_distance(margin: float) -> None:
    """Before training a voxel stays about where it is, with the margin of the configuration."""
    torch.manual_seed(0)
    batch = collate([line_event(3)])
    head = SpatialEmbeddingConfig(initial_margin=margin).build(in_channels=16, dim=3)
    feats = torch.rand(batch.num_voxels, 16, generator=torch.Generator().manual_seed(0))
    x = SparseTensor.build(batch.coords, feats, batch.offsets)
    output = head({"embedding": x, "seediness": x}, batch)
    torch.testing.assert_close(output["margin"], torch.full_like(output["margin"], margin), rtol=0.15, atol=0)
    torch.testing.assert_close(output["embedding"], normalised_coordinates(batch), rtol=0, atol=0.15)


@pytest.mark.parametrize("margin", [0.0, 2.0])
def test_the_initial_margin_lies_where_a_margin_can(margin: float) -> None:
    with pytest.raises(ValueError, match="initial_margin"):
        SpatialEmbeddingConfig(initial_margin=margin)


def test_normalised_coordinates_by_hand() -> None:
    event = make_event([(0, 0), (8, 4), (15, 7)], dim=2).replace(image_size=(16, 8))
    found = normalised_coordinates(collate([event]))
    torch.testing.assert_close(found, torch.tensor([[-1.0, -0.5], [0.0, 0.0], [0.875, 0.375]]))


def test_clusters_with_true_and_with_predicted_semantics() -> None:
    """A semantic head that calls everything shower joins what only its classes told apart."""
    config = SpatialEmbeddingConfig()
    batch = collate([line_event(3)])
    n = batch.num_voxels
    output = {
        "embedding": torch.zeros(n, 3),
        "margin": torch.full((n,), 0.1),
        "seediness": torch.full((n,), 0.99),
    }
    labels = SemanticLabels(np.full(n, 1, dtype=np.int64), ("delta", "shower", "track", "Michel"))
    decoded = config.build(in_channels=2, dim=3).decode(output, batch, labels)
    assert set(decoded.columns) == {"cluster", "cluster_true_semantics"}
    assert not decoded.columns["cluster"].any()
    true = decoded.columns["cluster_true_semantics"]
    shower = batch.labels["semantic"].numpy() == CLASSES.index("shower")
    assert set(true[shower].tolist()) == {0}
    assert set(true[~shower].tolist()) == {1}
    assert true.dtype == np.int32


def test_thresholds_of_a_class_act_on_that_class() -> None:
    """Seediness 0.85: above the seed threshold of a shower (0.80), below that of a track (0.90)."""
    config = SpatialEmbeddingConfig(leftover="unassigned")
    batch = collate([line_event(3)])
    n = batch.num_voxels
    output = {
        "embedding": normalised_coordinates(batch),
        "margin": torch.full((n,), 1e-3),
        "seediness": torch.full((n,), 0.85),
    }
    cluster = config.build(in_channels=2, dim=3).decode(output, batch, None).columns["cluster_true_semantics"]
    shower = batch.labels["semantic"].numpy() == CLASSES.index("shower")
    assert len(np.unique(cluster[shower])) == shower.sum()  # a cluster a voxel
    assert len(np.unique(cluster[~shower])) == 1  # no seed at all: one cluster


def test_predicted_semantics_are_scored_beside_true_ones() -> None:
    config = SpatialEmbeddingConfig()
    contract = TestSpatialEmbeddingHead()
    batch = collate([line_event(3)])
    labels = SemanticLabels(np.full(batch.num_voxels, -1, dtype=np.int64), CLASSES)
    decoded = config.build(in_channels=2, dim=3).decode(contract.perfect(batch), batch, labels)
    result = contract.evaluate(to_predictions(batch, {"mine": decoded}))
    assert result["mean_ari"]["true"] == 1
    assert result["semantics"]["predicted"]["track"]["n_predicted"] == [0]  # unassigned voxels count against
    assert result["semantics"]["predicted"]["track"]["efficiency"]["mean"] < 0.2


def test_without_any_semantics_the_cure_is_named() -> None:
    batch = collate([line_event(3)])
    batch = dataclasses.replace(batch, labels={})
    with pytest.raises(UserError, match="add a head of kind semantic"):
        SpatialEmbeddingConfig().build(in_channels=2, dim=3).decode(random_output(batch), batch, None)


def test_every_class_needs_thresholds() -> None:
    with pytest.raises(ValueError, match="thresholds has no entry for proton"):
        SpatialEmbeddingConfig(classes={"proton": ("HIP",)})


@pytest.mark.parametrize("split", [False, True])
def test_split_unconnected_cuts_clusters_into_connected_parts(split: bool) -> None:
    event = make_event([[0, 0, 0], [0, 0, 1], [9, 9, 9], [9, 9, 8], [5, 5, 5]], [1, 1, 1, 1, 5], [0, 0, 0, 0, -1])
    batch = collate([event])
    head = SpatialEmbeddingConfig(split_unconnected=split).build(in_channels=4, dim=3)
    n = len(event)
    output = {"embedding": torch.zeros(n, 3), "margin": torch.ones(n), "seediness": torch.ones(n)}
    cluster = head.decode(output, batch, None).columns["cluster_true_semantics"]
    by_voxel = {tuple(coords): int(number) for coords, number in zip(batch.coords.tolist(), cluster, strict=True)}
    assert by_voxel[0, 0, 0] == by_voxel[0, 0, 1] >= 0
    assert by_voxel[9, 9, 9] == by_voxel[9, 9, 8] >= 0
    assert (by_voxel[0, 0, 0] != by_voxel[9, 9, 9]) == split
    assert by_voxel[5, 5, 5] == -1


@settings(max_examples=40, deadline=None)
@given(event=events(), data=st.data(), leftover=st.sampled_from(["nearest", "unassigned"]))
def test_decoding_is_that_of_each_class_alone(
    event: tuple[np.ndarray, ...], data: st.DataObject, leftover: str
) -> None:
    n, dim = event[0].shape
    semantic = data.draw(hnp.arrays(np.int64, n, elements=st.integers(-1, 3)))
    thresholds = {"c": {"seed": 0.5, "probability": 0.24}, "a": {"seed": 0.8, "probability": 0.13, "min_voxels": 2}}
    config = SpatialEmbeddingConfig.model_validate(
        {"classes": {"a": ["a"], "c": ["c"]}, "thresholds": thresholds, "leftover": leftover}
    )
    image = Event(
        key=EventKey("made.h5", 0),
        coords=np.stack([np.arange(n)] * dim, axis=1).astype(np.int32),
        energy=np.ones(n, dtype=np.float32),
        image_size=(32,) * dim,
        classes=("a", "b", "c", "d"),
        labels={"semantic": semantic},
    )
    output = dict(zip(("embedding", "margin", "seediness"), map(torch.from_numpy, event), strict=True))
    decoded = config.build(in_channels=CHANNELS, dim=dim).decode(output, collate([image]), None)
    found = decoded.columns["cluster_true_semantics"]
    assert (found[(semantic != 0) & (semantic != 2)] == -1).all()
    offset = 0
    for number, name in ((0, "a"), (2, "c")):
        chosen, members = config.thresholds[name], semantic == number
        alone = np.array(
            decode_slowly(
                *(column[members] for column in event), chosen.seed, chosen.probability, leftover, chosen.min_voxels
            ),
            dtype=np.int64,
        )
        assert found[members].tolist() == np.where(alone >= 0, alone + offset, -1).tolist()
        offset += alone.max(initial=-1) + 1
    assert sorted(set(found.tolist()) - {-1}) == list(range(offset))
