"""The energy loss of inpainting: both forms against loops, and the two defects of the literal form shown."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.losses import RegressionForm, track_nontrack_terms

FORMS: tuple[RegressionForm, ...] = ("balanced", "literal")


def candidates(seed: int, active: int, inactive: int) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted and true energy and activity of some candidates, in any order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(active + inactive, generator=generator)
    truth = (torch.arange(active + inactive) < active)[order]
    target = torch.where(truth, 0.1 + torch.rand(len(order), generator=generator, dtype=torch.float64), 0.0)
    return torch.rand(len(order), generator=generator, dtype=torch.float64), target, truth


@pytest.mark.parametrize("form", FORMS)
@given(seed=st.integers(0, 1000), active=st.integers(0, 6), inactive=st.integers(0, 6))
def test_equals_loops(form: RegressionForm, seed: int, active: int, inactive: int) -> None:
    predicted, target, truth = candidates(seed, active, inactive)
    sums = {True: 0.0, False: 0.0}
    for p, t in zip(predicted.tolist(), target.tolist(), strict=True):
        sums[t != 0] += (p - t) ** 2
    everything = active + inactive
    numbers = {True: active, False: inactive} if form == "balanced" else {True: everything, False: everything}
    expected = [sums[kind] / max(numbers[kind], 1) for kind in (True, False)]
    found = track_nontrack_terms(predicted, target, truth, form)
    assert [term.item() for term in found] == pytest.approx(expected)


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form: RegressionForm) -> None:
    predicted, target, truth = candidates(0, 3, 5)
    assert torch.autograd.gradcheck(lambda x: track_nontrack_terms(x, target, truth, form), predicted.requires_grad_())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("active", "inactive"), [(0, 0), (0, 4), (4, 0)])
def test_a_kind_without_voxels_is_zero_and_attached(form: RegressionForm, active: int, inactive: int) -> None:
    predicted, target, truth = candidates(1, active, inactive)
    terms = track_nontrack_terms(predicted.requires_grad_(), target, truth, form)
    assert [bool(term) for term in terms] == [active > 0, inactive > 0]
    (grad,) = torch.autograd.grad(terms[0] + terms[1], predicted)
    assert torch.isfinite(grad).all()


def best_constant(form: RegressionForm, target: Tensor) -> float:
    """Energy that a network which cannot tell voxels apart learns to predict."""
    value = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([value], lr=0.5, max_iter=50)

    def loss() -> Tensor:
        optimizer.zero_grad()
        track, nontrack = track_nontrack_terms(value.expand(len(target)), target, target != 0, form)
        total: Tensor = 0.5 * track + 0.5 * nontrack
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return value.item()


def test_defect_1_one_denominator_lets_empty_candidates_drown_the_track() -> None:
    """Voxels of 1 MeV, one candidate in fifty: the literal form is best served by predicting almost nothing."""
    target = torch.zeros(200, dtype=torch.float64)
    target[::50] = 1.0
    assert best_constant("literal", target) == pytest.approx(1 / 50, abs=1e-3)
    assert best_constant("balanced", target) == pytest.approx(1 / 2, abs=1e-3)


def test_defect_1_more_empty_candidates_shrink_the_literal_track_term_only() -> None:
    predicted, target, truth = candidates(2, 5, 5)
    found = {}
    for form in FORMS:
        few = track_nontrack_terms(predicted, target, truth, form)[0]
        padding = torch.zeros(90, dtype=torch.float64)
        more = track_nontrack_terms(
            torch.cat([predicted, padding]), torch.cat([target, padding]), torch.cat([truth, padding.bool()]), form
        )[0]
        found[form] = (more / few).item()
    assert found == pytest.approx({"literal": 0.1, "balanced": 1.0})


def descend_on_weights(config: InpaintConfig, steps: int = 1000) -> list[float]:
    """Factors of two terms that stay at 1.0 (track, hard) and 0.1 (nontrack, easy) while the weights descend."""
    head = config.build(in_channels=2, dim=3)
    free = [parameter for name, parameter in head.named_parameters() if name == "term_weights.log_weights"]
    terms = torch.tensor([1.0, 0.1])
    if free:
        optimizer = torch.optim.SGD(free, lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            torch.autograd.backward((head.term_weights(terms)[0] * terms).sum())
            optimizer.step()
    factors: list[float] = head.term_weights(terms)[0].detach().tolist()
    return factors


def test_defect_2_learnable_weights_desert_the_harder_term() -> None:
    literal = InpaintConfig.model_validate({"regression": {"form": "literal", "weighting": "learned_softmax"}})
    start = descend_on_weights(literal, steps=0)
    assert start == pytest.approx([0.5, 0.5])
    track, nontrack = descend_on_weights(literal)
    assert track < 0.01
    assert nontrack == pytest.approx(1 - track)
    assert descend_on_weights(InpaintConfig()) == [0.5, 0.5]


def test_softmax_of_the_logarithms_starts_at_the_given_weights() -> None:
    config = InpaintConfig.model_validate({"regression": {"weighting": "learned_softmax", "weights": (0.3, 0.9)}})
    head = config.build(in_channels=2, dim=3)
    torch.testing.assert_close(head.term_weights(torch.zeros(1))[0].detach(), torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(head.term_weights.log_weights.detach(), torch.tensor([0.3, 0.9]).log())
