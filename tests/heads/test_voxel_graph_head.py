"""The voxel-graph head against the contract, and what is its own."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from head_contract import CHANNELS, HeadContract, crowd
from hypothesis import given
from hypothesis import strategies as st
from labelled_events import CLASSES, head_batch, line_event, make_event
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads import Head, HeadConfig, SemanticLabels, VoxelGraphConfig, VoxelGraphHead
from lartpc_sparse.heads.voxel_graph import every_so_many
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.native.library import missing_reason


def score_by_difference(head: Head) -> Head:
    """Makes a head score an edge 0.999 where its ends have equal features, and 0 elsewhere."""
    assert isinstance(head, VoxelGraphHead)
    size = head.config.features
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.compare.weight[0, size : 2 * size] = 1.0
        head.score.weight[0, 0] = -100.0
        head.score.bias.fill_(7.0)
    return head


FAR = {name: {"reach": 12, "threshold": 0.5} for name in ("shower", "track", "Michel", "delta")}


class TestVoxelGraphHead(HeadContract):
    config: HeadConfig = VoxelGraphConfig.model_validate({"reach": 12, "far": [20], "linkage": FAR})
    terms = ("edges",)

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        assert isinstance(self.config, VoxelGraphConfig)
        return {"features": (n, self.config.features), "coords": (n, dim)}

    def other_decoding(self) -> dict[str, Any]:
        assert isinstance(self.config, VoxelGraphConfig)
        return {
            "refine": {"track": [{"kind": "absorb_small", "min_voxels": 7}]},
            "particles": {"kind": "geometric"},
            "linkage": {name: {"reach": 2, "threshold": 0.9} for name in self.config.classes},
        }

    def scores(self, batch: Batch, output: dict[str, Tensor]) -> dict[str, Any]:
        plain = self.head
        self.head = lambda dim: score_by_difference(plain(dim))  # type: ignore[method-assign]
        return super().scores(batch, output)

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        """Features that tell the instances apart."""
        assert isinstance(self.config, VoxelGraphConfig)
        instance = batch.labels["instance"].float()
        return {"features": instance[:, None].expand(-1, self.config.features).contiguous()}

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        """Features that tell all voxels apart."""
        assert isinstance(self.config, VoxelGraphConfig)
        number = torch.arange(batch.num_voxels, dtype=torch.float32)
        return {"features": number[:, None].expand(-1, self.config.features).contiguous()}

    def check_perfect(self, result: dict[str, Any]) -> None:
        scores = result["semantics"]["true"]
        assert set(scores) == {"track", "shower"}
        assert all(value == 1 for name in scores for value in scores[name]["ari"]["values"])
        assert scores["track"]["n_true"] == scores["track"]["n_predicted"]
        assert "predicted" not in result["semantics"]

    def check_bad(self, result: dict[str, Any]) -> None:
        assert result["mean_ari"]["true"] == pytest.approx(0, abs=1e-9)

    def nothing_to_learn(self, batch: Batch) -> Batch:
        nothing = torch.full_like(batch.labels["instance"], -1)
        return dataclasses.replace(batch, labels={**batch.labels, "instance": nothing})


class TestTwoClasses(TestVoxelGraphHead):
    config: HeadConfig = VoxelGraphConfig.model_validate(
        {
            "classes": {"track": ("HIP", "MIP"), "shower": ("shower",)},
            "reach": 12,
            "far": [],
            "linkage": {"track": {"reach": 12, "threshold": 0.4}, "shower": {"reach": 10, "threshold": 0.6}},
            "features": 5,
            "different_weight": 0.3,
        }
    )


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("weight", [0.5, 0.2])
@pytest.mark.parametrize("far", [(), (4, 6)])
def test_loss_is_the_balanced_mean_over_the_edges_of_each_class(dim: int, weight: float, far: tuple[int, ...]) -> None:
    config = VoxelGraphConfig(different_weight=weight, far=far)
    batch = head_batch(config, crowd(dim))
    torch.manual_seed(0)
    head = config.build(in_channels=CHANNELS, dim=dim)
    features = torch.randn(batch.num_voxels, config.features)
    semantic = [{"HIP": "track", "MIP": "track"}.get(CLASSES[s], CLASSES[s]) for s in batch.labels["semantic"].tolist()]
    instance, event = batch.labels["instance"].tolist(), batch.batch_index().tolist()
    each: dict[tuple[tuple[str, bool], bool], list[float]] = {}
    for i, j in itertools.combinations(range(batch.num_voxels), 2):
        name = semantic[i]
        if (
            name != semantic[j]
            or event[i] != event[j]
            or min(instance[i], instance[j]) < 0
            or name not in config.classes
        ):
            continue
        distance = int((batch.coords[i] - batch.coords[j]).abs().max())
        if distance > config.reach and distance not in config.far:
            continue
        logit = head.logits(features, batch.coords.long(), torch.tensor([[i, j]]))
        same = instance[i] == instance[j]
        loss = F.binary_cross_entropy_with_logits(logit, torch.tensor([float(same)]))
        each.setdefault(((name, distance > config.reach), same), []).append(loss.item())
    present = {kind for kind, _ in each}
    assert len({name for name, _ in present}) > 1
    assert {distant for _, distant in present} == {False, *([True] if far else [])}
    expected = sum(np.mean(v) * (1 - weight if same else weight) for (_, same), v in each.items()) / len(present)
    assert head.loss({"features": features}, batch)["edges"].item() == pytest.approx(expected, rel=1e-4)


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_edges_are_thinned_out_evenly(kinds: list[int], most: int) -> None:
    chosen = every_so_many(torch.tensor(kinds, dtype=torch.int64), most).tolist()
    for kind in set(kinds):
        rows = [row for row, own in enumerate(kinds) if own == kind]
        step = -(-len(rows) // most)
        assert [row for row in chosen if kinds[row] == kind] == rows[::step]


def test_an_edge_has_no_direction() -> None:
    head = VoxelGraphConfig().build(in_channels=CHANNELS, dim=3)
    features, coords = torch.randn(4, 16), torch.randint(0, 5, (4, 3))
    pairs = torch.tensor([[0, 1], [2, 3]])
    torch.testing.assert_close(head.logits(features, coords, pairs), head.logits(features, coords, pairs.flip(1)))


def test_voxels_that_foresee_one_place_differ_by_nothing() -> None:
    """Features that are the way to a common place cancel the way between the two ends of an edge."""
    config = VoxelGraphConfig(features=3)
    head = config.build(in_channels=CHANNELS, dim=3)
    coords = torch.tensor([[0, 0, 0], [9, 1, 2], [4, 4, 4]])
    with torch.no_grad():
        head.place.weight.copy_(torch.eye(3))
        head.compare.weight.zero_()
        head.compare.weight[:, 3:6] = 1.0  # of the difference
        features = (torch.tensor([[5.0, 5.0, 5.0]]) - coords) / 8.0
        features[2] += 1.0
        near, off = head.logits(features, coords, torch.tensor([[0, 1], [0, 2]])).tolist()
        same = head.logits(features[:1], coords[:1], torch.tensor([[0, 0]])).item()
    assert near == pytest.approx(same)
    assert off != pytest.approx(same)


def test_far_edges_keep_apart_what_touches() -> None:
    """Two pieces joined by one near edge and held apart by far ones, which only count when they are used."""
    event = make_event([(x, 0, 0) for x in range(12)], [1] * 12, [0] * 6 + [1] * 6)
    found = {}
    for far in (False, True):
        track = {"reach": 1, "far": far, "threshold": 0.5, "certain": 2.0}
        config = VoxelGraphConfig.model_validate(
            {"classes": {"track": ["MIP"]}, "reach": 1, "far": [2, 3, 4], "linkage": {"track": track}}
        )
        batch = head_batch(config, [event])
        head = score_by_difference(config.build(in_channels=CHANNELS, dim=3))
        ramp = torch.tensor([0.0] * 4 + [0.002, 0.004, 0.006] + [0.008] * 5)  # neighbours are nearly alike
        decoded = head.decode({"features": ramp[:, None].expand(-1, 16).contiguous()}, batch, None)
        found[far] = decoded.columns["cluster_true_semantics"].tolist()
    assert len(set(found[False])) == 1
    assert len(set(found[True])) == 2


def test_predicted_semantics_decide_between_whom_there_are_edges() -> None:
    config = VoxelGraphConfig()
    batch = head_batch(config, [line_event(3)])
    head = score_by_difference(config.build(in_channels=CHANNELS, dim=3))
    output = {"features": torch.zeros(batch.num_voxels, config.features)}
    every = SemanticLabels(np.zeros(batch.num_voxels, dtype=np.int64), ("MIP",))
    with pytest.raises(UserError, match="no class for 'shower'"):
        head.decode(output, batch, every)
    five = ("HIP", "MIP", "shower", "delta", "Michel")
    decoded = head.decode(output, batch, SemanticLabels(every.labels, five))
    assert set(decoded.columns) == {"cluster", "cluster_true_semantics"}
    assert decoded.columns["cluster"].dtype == np.int32
    assert (decoded.columns["cluster"] >= 0).all()
    low = np.array(batch.classes)[batch.labels["semantic"].numpy()] == "low_energy"
    assert ((decoded.columns["cluster_true_semantics"] >= 0) == ~low).all()


def test_reach_differs_by_class() -> None:
    event = make_event([(0, 0, 0), (3, 0, 0), (10, 0, 0), (13, 0, 0)], [1, 1, 2, 2], [0, 0, 1, 1])
    config = VoxelGraphConfig()
    batch = head_batch(config, [event])
    head = score_by_difference(config.build(in_channels=CHANNELS, dim=3))
    decoded = head.decode({"features": torch.zeros(4, 16)}, batch, None)
    assert (CLASSES[1], CLASSES[2]) == ("MIP", "shower")
    found = decoded.columns["cluster_true_semantics"].tolist()
    assert found[0] == found[1]  # tracks reach 3 voxels
    assert found[2] != found[3]  # showers 1


def test_a_linkage_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="linkage has no entry for kaon"):
        VoxelGraphConfig.model_validate({"classes": {"kaon": ("MIP",)}})
    with pytest.raises(ValueError, match="above the reach of 3"):
        VoxelGraphConfig(far=(3, 9))
    with pytest.raises(ValueError, match="uses far edges, but none"):
        VoxelGraphConfig.model_validate(
            {
                "far": [],
                "classes": {"track": ["MIP"]},
                "linkage": {"track": {"reach": 1, "far": True, "threshold": 0.5}},
            }
        )
    with pytest.raises(ValueError, match=r"farther \(track 3, Michel 3, delta 3\) than the edges that are learned, 2"):
        VoxelGraphConfig(reach=2)


def test_without_semantics_the_user_is_told() -> None:
    config = VoxelGraphConfig()
    batch = head_batch(config, [line_event(3)])
    batch = dataclasses.replace(batch, labels={})
    head = config.build(in_channels=CHANNELS, dim=3)
    with pytest.raises(UserError, match="the voxel_graph head clusters class by class"):
        head.decode({"features": torch.zeros(batch.num_voxels, 16)}, batch, None)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("hidden", [1, 16, 33])
def test_compiled_scores_are_those_of_the_layers(dim: int, hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_reason() is not None:
        pytest.skip(f"no compiled library: {missing_reason()}")
    torch.manual_seed(hidden)
    config = VoxelGraphConfig.model_validate({"features": 5, "hidden": hidden})
    head = config.build(in_channels=CHANNELS, dim=dim)
    batch = head_batch(config, crowd(dim))
    # far from the origin, as in a large detector
    batch = dataclasses.replace(batch, coords=batch.coords + 3000)
    classes = np.zeros(batch.num_voxels, dtype=np.int64)
    output = {"features": 10 * torch.randn(batch.num_voxels, 5)}
    with torch.autocast("cpu", torch.bfloat16):  # as predictions with `precision: bf16` are decoded
        pairs, scores = head.scored_edges(output, batch, classes)
    monkeypatch.setattr("lartpc_sparse.heads.voxel_graph.missing_reason", lambda: "not wanted")
    same_pairs, expected = head.scored_edges(output, batch, classes)
    assert len(pairs) > 20
    assert np.array_equal(pairs, same_pairs)
    assert scores.std() > 0.05
    np.testing.assert_allclose(scores, expected, atol=1e-4)
