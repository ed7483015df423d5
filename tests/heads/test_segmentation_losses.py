"""The losses of voxel classification against their definitions, voxel by voxel."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from labelled_events import head_batch, line_event, random_event
from pydantic import ValidationError
from torch import Tensor

from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.heads.losses.segmentation import cross_entropy, dice, focal, lovasz_softmax

Case = tuple[Tensor, Tensor, Tensor]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Logits (N, K), truth with -1 for not labelled, voxel weights above 0."""
    n, k = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = 3 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    truth = torch.randint(-1, k, (n,), generator=generator)
    return logits, truth, torch.rand(n, generator=generator, dtype=torch.float64) + 0.1


def jaccard_step(wrong: set[int], positive: set[int]) -> float:
    return len(wrong) / len(positive | wrong) if wrong else 0.0


def naive_lovasz_softmax(logits: Tensor, truth: Tensor) -> float:
    """Lovasz extension of each present class's Jaccard loss at |1[y = c] - p_c| (arXiv:1705.08790, section 3.2)."""
    rows = [row for row in range(len(truth)) if truth[row] >= 0]
    losses = []
    for c in range(logits.shape[1]):
        positive = {row for row in rows if truth[row] == c}
        if not positive:
            continue
        error = {row: abs(float(row in positive) - torch.softmax(logits[row], 0)[c].item()) for row in rows}
        wrong: set[int] = set()
        total = 0.0
        for row in sorted(rows, key=lambda row: -error[row]):
            total += error[row] * (jaccard_step(wrong | {row}, positive) - jaccard_step(wrong, positive))
            wrong.add(row)
        losses.append(total)
    return sum(losses) / len(losses) if losses else 0.0


@given(case=cases(), smoothing=st.sampled_from([0.0, 0.1]))
def test_cross_entropy_is_the_weighted_mean(case: Case, smoothing: float) -> None:
    logits, truth, weight = case
    above, below = 0.0, 0.0
    for row, label in enumerate(truth.tolist()):
        if label >= 0:
            log_p = torch.log_softmax(logits[row], 0)
            above -= weight[row].item() * ((1 - smoothing) * log_p[label] + smoothing * log_p.mean()).item()
            below += weight[row].item()
    assert cross_entropy(logits, truth, weight, smoothing).item() == pytest.approx(above / below if below else 0.0)


@given(case=cases(), gamma=st.sampled_from([0.0, 0.5, 2.0, 5.0]), factor=st.sampled_from([0.25, 1.0, 4.0]))
def test_focal_is_equation_5(case: Case, gamma: float, factor: float) -> None:
    logits, truth, weight = case
    alpha = torch.ones(logits.shape[1], dtype=torch.float64)
    alpha[0] = factor
    above, below = 0.0, 0.0
    for row, label in enumerate(truth.tolist()):
        if label >= 0:
            p = torch.softmax(logits[row], 0)[label].item()
            above -= weight[row].item() * alpha[label].item() * (1 - p) ** gamma * math.log(p)
            below += weight[row].item()
    found = focal(logits, truth, weight, alpha=alpha, gamma=gamma).item()
    assert found == pytest.approx(above / below if below else 0.0, abs=1e-12)


@given(case=cases())
def test_focal_without_focus_is_cross_entropy(case: Case) -> None:
    alpha = torch.ones(case[0].shape[1])
    torch.testing.assert_close(focal(*case, alpha=alpha, gamma=0.0), cross_entropy(*case))


@given(case=cases())
def test_lovasz_softmax_is_the_extension_of_the_jaccard_loss(case: Case) -> None:
    logits, truth, _ = case
    assert lovasz_softmax(logits, truth).item() == pytest.approx(naive_lovasz_softmax(logits, truth), abs=1e-9)


@given(case=cases())
def test_lovasz_softmax_of_a_decided_network_is_one_minus_the_mean_iou(case: Case) -> None:
    logits, truth, _ = case
    label = logits.argmax(1)
    labelled = truth >= 0
    ious = []
    for c in truth[labelled].unique().tolist():
        true, said = (truth == c) & labelled, (label == c) & labelled
        ious.append((true & said).sum().item() / (true | said).sum().item())
    decided = 1e3 * F.one_hot(label, logits.shape[1]).double()
    expected = 1 - sum(ious) / len(ious) if ious else 0.0
    assert lovasz_softmax(decided, truth).item() == pytest.approx(expected, abs=1e-9)


@given(case=cases())
def test_dice_is_the_squared_form(case: Case) -> None:
    logits, truth, weight = case
    probability = torch.softmax(logits, 1)
    scores = []
    for c in range(logits.shape[1]):
        rows = [row for row, label in enumerate(truth.tolist()) if label >= 0]
        hits = sum(float(weight[row] * probability[row, c]) for row in rows if truth[row] == c)
        size = sum(float(weight[row] * (probability[row, c] ** 2 + (truth[row] == c))) for row in rows)
        if any(truth[row] == c for row in rows):
            scores.append(2 * hits / size)
    expected = 1 - sum(scores) / len(scores) if scores else 0.0
    assert dice(logits, truth, weight).item() == pytest.approx(expected, abs=1e-9)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": lambda x, t, w: focal(x, t, w, alpha=torch.tensor([4.0, 1.0, 1.0]), gamma=2.0),
    "lovasz_softmax": lambda x, t, w: lovasz_softmax(x, t),
    "dice": dice,
}
every_loss = pytest.mark.parametrize("name", LOSSES)


@every_loss
def test_gradcheck(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 3, generator=generator, dtype=torch.float64).requires_grad_()
    truth = torch.tensor([0, 1, 2, 2, -1, 0, 1, -1, 2])
    weight = torch.rand(9, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, truth, weight), logits)


@every_loss
def test_voxels_without_a_label_count_nowhere(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(8, 3, generator=generator).requires_grad_()
    truth, weight = torch.tensor([0, -1, 2, 1, -1, 1, -1, 0]), torch.rand(8, generator=generator)
    loss = LOSSES[name](logits, truth, weight)
    kept = truth >= 0
    torch.testing.assert_close(loss, LOSSES[name](logits[kept], truth[kept], weight[kept]))
    (grad,) = torch.autograd.grad(loss, logits)
    assert grad.any(1).tolist() == kept.tolist()


@every_loss
@pytest.mark.parametrize("n", [0, 3])
def test_nothing_labelled_gives_an_attached_zero(name: str, n: int) -> None:
    logits = torch.ones(n, 3, requires_grad=True)
    loss = LOSSES[name](logits, torch.full((n,), -1), torch.ones(n))
    assert loss.item() == 0
    (grad,) = torch.autograd.grad(loss, logits)
    assert not grad.any()


@every_loss
def test_certain_and_right_costs_nothing_and_has_a_finite_slope(name: str) -> None:
    truth = torch.tensor([0, 1, 2, 1])
    logits = (100.0 * F.one_hot(truth, 3)).requires_grad_()
    loss = LOSSES[name](logits, truth, torch.ones(4))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_a_head_adds_up_its_losses() -> None:
    config = SemanticConfig.model_validate(
        {
            "losses": [
                {"kind": "focal", "alpha": {"Michel": 4}, "gamma": 2},
                {"kind": "lovasz_softmax", "weight": 0.5},
                {"kind": "dice"},
            ],
            "weighting": {"kind": "public_code"},
        }
    )
    batch = head_batch(config, [line_event(3), random_event(1, 3)])
    logits = torch.randn(batch.num_voxels, 5, generator=torch.Generator().manual_seed(0))
    terms = config.build(in_channels=2, dim=3).loss({"logits": logits}, batch)
    assert list(terms) == ["focal", "lovasz_softmax", "dice"]
    single = SemanticConfig.model_validate({"losses": [{"kind": "lovasz_softmax"}]})
    whole = single.build(in_channels=2, dim=3).loss({"logits": logits}, batch)["lovasz_softmax"]
    torch.testing.assert_close(terms["lovasz_softmax"], 0.5 * whole)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"losses": []}, "at least 1"),
        ({"losses": [{"kind": "dice"}, {"kind": "dice"}]}, "losses must differ in kind, got dice, dice"),
        ({"losses": [{"kind": "focal", "alpha": {"muon": 2}}]}, "alpha names muon, but the classes are HIP"),
        ({"losses": [{"kind": "focal", "alpha": 0}]}, "alpha must be above 0"),
        ({"losses": [{"kind": "cross_entropy", "label_smoothing": 1}]}, "less than 1"),
        ({"weighting": {"kind": "inverse_frequency", "frequencies": {"HIP": 1}}}, "frequencies must name the classes"),
    ],
)
def test_wrong_settings_say_what_is_wrong(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SemanticConfig.model_validate(wrong)
