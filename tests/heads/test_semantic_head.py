"""The semantic head against the contract, and its cross-entropy against a loop."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from head_contract import HeadContract, crowd
from labelled_events import CLASSES, empty_event, head_batch, line_event, make_event, to_predictions
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads import HeadConfig, SemanticConfig
from lartpc_sparse.schema import UserError

FIVE = SemanticConfig().classes


def logits_of(labels: Tensor, count: int) -> Tensor:
    """Certain about `labels`; -1 says class 0."""
    return 20.0 * torch.nn.functional.one_hot(labels.clamp(min=0), count).float()


def true_labels(batch: Batch, config: SemanticConfig) -> Tensor:
    table = torch.tensor([config.classes.index(n) if n in config.classes else -1 for n in CLASSES] + [-1])
    return table[batch.labels["semantic"]]


class TestSemanticHead(HeadContract):
    config: HeadConfig = SemanticConfig()
    terms = ("cross_entropy",)

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        del dim
        return {"logits": (n, 5)}

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(self.config, SemanticConfig)
        return {"logits": logits_of(true_labels(batch, self.config), 5)}

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        """Every track voxel a shower, every shower voxel a track."""
        assert isinstance(self.config, SemanticConfig)
        shower, track = FIVE.index("shower"), FIVE.index("MIP")
        labels = true_labels(batch, self.config)
        return {"logits": logits_of(torch.where(labels == shower, track, shower), 5)}

    def check_perfect(self, result: dict[str, Any]) -> None:
        assert result["accuracy"] == 1
        assert result["event_accuracy"] == [1.0, None, 1.0]
        confusion = np.array(result["confusion"])
        assert np.trace(confusion) == confusion.sum() > 0
        assert result["per_class"]["shower"]["iou"] == 1
        assert result["per_class"]["Michel"]["recall"] is None  # no such voxel
        assert result["track_shower"]["accuracy"] == 1
        assert result["classes"] == list(FIVE)

    def check_bad(self, result: dict[str, Any]) -> None:
        assert result["accuracy"] == 0
        assert result["event_accuracy"] == [0.0, 0.0]
        assert result["track_shower"]["accuracy"] == 0
        assert result["per_class"]["shower"]["recall"] == 0

    def other_decoding(self) -> dict[str, Any]:
        return {"vote": {"clusters": {"kind": "connected"}}, "decisions": {}}

    def nothing_to_learn(self, batch: Batch) -> Batch:
        nothing = torch.full_like(batch.labels["semantic"], -1)
        weight = torch.zeros_like(batch.labels["semantic_weight"])
        return dataclasses.replace(batch, labels={**batch.labels, "semantic": nothing, "semantic_weight": weight})


class TestOtherClassesAndWeights(TestSemanticHead):
    """Another order of classes, fewer of them, no weights."""

    config: HeadConfig = SemanticConfig.model_validate({"classes": FIVE[::-1], "weighting": {"kind": "none"}})

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        return {"logits": super().bad(batch)["logits"].flip(1)}

    def check_perfect(self, result: dict[str, Any]) -> None:
        assert result["classes"] == list(FIVE[::-1])
        super().check_perfect({**result, "classes": list(FIVE)})


@pytest.mark.parametrize("weighting", ["cluster_vertex", "none"])
@pytest.mark.parametrize("dim", [2, 3])
def test_loss_is_the_weighted_mean_over_labelled_voxels(weighting: str, dim: int) -> None:
    config = SemanticConfig.model_validate({"weighting": {"kind": weighting}})
    batch = head_batch(config, crowd(dim))
    logits = torch.randn(batch.num_voxels, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total, weights = 0.0, 0.0
    for row, label in enumerate(batch.labels["semantic"].tolist()):
        if label < 0 or CLASSES[label] not in FIVE:
            continue
        weight = batch.labels["semantic_weight"][row].item()
        probability = torch.softmax(logits[row], 0)[FIVE.index(CLASSES[label])].item()
        total -= weight * np.log(probability)
        weights += weight
    found = config.build(in_channels=2, dim=dim).loss({"logits": logits}, batch)["cross_entropy"]
    assert found.item() == pytest.approx(total / weights)


def test_gradcheck() -> None:
    config = SemanticConfig()
    batch = head_batch(config, crowd(2))
    head = config.build(in_channels=2, dim=2)
    logits = torch.randn(batch.num_voxels, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: head.loss({"logits": x}, batch)["cross_entropy"], logits.requires_grad_())


def test_unlabelled_and_foreign_voxels_have_no_gradient() -> None:
    config = SemanticConfig()
    batch = head_batch(config, crowd(3))
    logits = torch.zeros(batch.num_voxels, 5, requires_grad=True)
    torch.autograd.backward(config.build(in_channels=2, dim=3).loss({"logits": logits}, batch)["cross_entropy"])
    assert logits.grad is not None
    touched = logits.grad.any(1)
    assert touched.tolist() == (true_labels(batch, config) >= 0).tolist()
    assert not touched.all()


def test_foreign_voxels_teach_nothing_whatever_their_weight() -> None:
    """The weights may have been made for other classes than those of this head."""
    config = SemanticConfig(classes=("MIP", "shower"))
    batch = head_batch(config, crowd(3))
    weight = torch.rand(batch.num_voxels, generator=torch.Generator().manual_seed(0))
    batch = dataclasses.replace(batch, labels={**batch.labels, "semantic_weight": weight})
    logits = torch.zeros(batch.num_voxels, 2, requires_grad=True)
    loss = config.build(in_channels=2, dim=3).loss({"logits": logits}, batch)["cross_entropy"]
    assert loss.item() == pytest.approx(np.log(2))
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad.any(1).tolist() == (true_labels(batch, config) >= 0).tolist()


def test_uniform_logits_cost_the_logarithm_of_the_number_of_classes() -> None:
    config = SemanticConfig()
    batch = head_batch(config, [line_event(3)])
    loss = config.build(in_channels=2, dim=3).loss({"logits": torch.zeros(batch.num_voxels, 5)}, batch)
    assert loss["cross_entropy"].item() == pytest.approx(np.log(5))


def test_accuracy_of_the_monitor() -> None:
    config = SemanticConfig()
    batch = head_batch(config, [line_event(3), empty_event(3, 1)])
    labels = true_labels(batch, config)
    half = torch.arange(len(labels)) < len(labels) // 2
    wrong = torch.where(half, labels, (labels + 1) % 5)
    found = config.build(in_channels=2, dim=3).monitor({"logits": logits_of(wrong, 5)}, batch)
    assert found["accuracy"].item() == pytest.approx((len(labels) // 2) / len(labels))


def test_decoding_gives_probabilities_and_the_most_probable_class() -> None:
    config = SemanticConfig()
    batch = head_batch(config, crowd(3))
    logits = torch.randn(batch.num_voxels, 5, generator=torch.Generator().manual_seed(0))
    decoded = config.build(in_channels=2, dim=3).decode({"logits": logits}, batch, None)
    probability, label = decoded.columns["probability"], decoded.columns["label"]
    np.testing.assert_allclose(probability, torch.softmax(logits, 1).numpy(), rtol=1e-6)
    assert [probability.dtype.name, label.dtype.name] == ["float32", "int8"]
    np.testing.assert_array_equal(label, logits.argmax(1).numpy())
    assert decoded.semantic is not None
    np.testing.assert_array_equal(decoded.semantic.labels, label)
    assert decoded.semantic.classes == FIVE


def test_voxels_without_a_prediction_count_as_wrong() -> None:
    config = SemanticConfig()
    batch = head_batch(config, [line_event(3)])
    head = config.build(in_channels=2, dim=3)
    decoded = head.decode({"logits": logits_of(true_labels(batch, config), 5)}, batch, None)
    (prediction,) = to_predictions(batch, {"mine": decoded})
    label = prediction.columns["mine/label"].copy()
    label[: len(label) // 2] = -1
    evaluator = config.evaluator("mine", CLASSES)
    evaluator.update(dataclasses.replace(prediction, columns={"mine/label": label}))
    result = evaluator.result()
    assert result["accuracy"] == pytest.approx(1 - (len(label) // 2) / len(label))
    json.dumps(result, allow_nan=False)


def test_data_without_a_class_of_the_head_is_refused() -> None:
    config = SemanticConfig()
    event = make_event([(0, 0, 0)], [0]).replace(classes=("shower", "track"))
    transform = config.targets()
    assert transform is not None
    with pytest.raises(UserError, match="no class for 'HIP'"):
        transform(event, np.random.default_rng(0))


def test_a_head_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        SemanticConfig(classes=("HIP",))


def test_classes_of_a_head_differ() -> None:
    with pytest.raises(ValueError, match="classes must differ, got HIP, HIP"):
        SemanticConfig(classes=("HIP", "HIP"))
