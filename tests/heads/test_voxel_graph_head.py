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
from labelled_events import CLASSES, head_batch, line_event, make_event
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads import Head, HeadConfig, SemanticLabels, VoxelGraphConfig, VoxelGraphHead
from lartpc_sparse.schema import UserError


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
    config: HeadConfig = VoxelGraphConfig.model_validate({"reach": 12, "linkage": FAR})
    terms = ("edges",)

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        assert isinstance(self.config, VoxelGraphConfig)
        return {"features": (n, self.config.features)}

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
            "linkage": {"track": {"reach": 12, "threshold": 0.4}, "shower": {"reach": 10, "threshold": 0.6}},
            "features": 5,
            "different_weight": 0.3,
        }
    )


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_loss_is_the_balanced_mean_over_the_edges_of_each_class(dim: int, weight: float) -> None:
    config = VoxelGraphConfig(different_weight=weight)
    batch = head_batch(config, crowd(dim))
    torch.manual_seed(0)
    head = config.build(in_channels=CHANNELS, dim=dim)
    features = torch.randn(batch.num_voxels, config.features)
    semantic = [{"HIP": "track", "MIP": "track"}.get(CLASSES[s], CLASSES[s]) for s in batch.labels["semantic"].tolist()]
    instance, event = batch.labels["instance"].tolist(), batch.batch_index().tolist()
    each: dict[tuple[str, bool], list[float]] = {}
    for i, j in itertools.combinations(range(batch.num_voxels), 2):
        name = semantic[i]
        if (
            name != semantic[j]
            or event[i] != event[j]
            or min(instance[i], instance[j]) < 0
            or name not in config.classes
        ):
            continue
        if (batch.coords[i] - batch.coords[j]).abs().max() > config.reach:
            continue
        logit = head.logits(features, batch.coords.long(), torch.tensor([[i, j]]))
        same = instance[i] == instance[j]
        loss = F.binary_cross_entropy_with_logits(logit, torch.tensor([float(same)]))
        each.setdefault((name, same), []).append(loss.item())
    present = {name for name, _ in each}
    assert len(present) > 1
    expected = sum(np.mean(v) * (1 - weight if same else weight) for (_, same), v in each.items()) / len(present)
    assert head.loss({"features": features}, batch)["edges"].item() == pytest.approx(expected, rel=1e-4)


def test_an_edge_has_no_direction() -> None:
    head = VoxelGraphConfig().build(in_channels=CHANNELS, dim=3)
    features, coords = torch.randn(4, 16), torch.randint(0, 5, (4, 3))
    pairs = torch.tensor([[0, 1], [2, 3]])
    torch.testing.assert_close(head.logits(features, coords, pairs), head.logits(features, coords, pairs.flip(1)))


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
    with pytest.raises(ValueError, match=r"farther \(track 3, Michel 3, delta 3\) than the edges that are learned, 2"):
        VoxelGraphConfig(reach=2)


def test_without_semantics_the_user_is_told() -> None:
    config = VoxelGraphConfig()
    batch = head_batch(config, [line_event(3)])
    batch = dataclasses.replace(batch, labels={})
    head = config.build(in_channels=CHANNELS, dim=3)
    with pytest.raises(UserError, match="the voxel_graph head clusters class by class"):
        head.decode({"features": torch.zeros(batch.num_voxels, 16)}, batch, None)
