"""The loss of the spatial embedding against loops written from the formulas, and its edges."""

from __future__ import annotations

from typing import NamedTuple

import naive_losses
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lartpc_sparse.heads.losses import MaskLoss, embedding_loss_terms, find_instances
from lartpc_sparse.heads.losses.embedding import pair_probability

TERMS = ("mask", "separation", "smoothing", "seediness")
KINDS: tuple[MaskLoss, ...] = ("lovasz", "bce", "focal", "lovasz_bce")

labels = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1), st.integers(-1, 2)), max_size=14)
"""(event, class, instance) of each voxel; events may be absent, voxels unlabelled."""


class Case(NamedTuple):
    """Rows with labels and values of the three outputs, differentiable."""

    event: list[int]
    semantic: list[int]
    instance: list[int]
    embedding: Tensor
    margin: Tensor
    seediness: Tensor

    @property
    def outputs(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.embedding, self.margin, self.seediness

    def fast(
        self, mask_loss: MaskLoss = "lovasz", *, delta: float = 0.2, focal_gamma: float = 2.0
    ) -> dict[str, Tensor]:
        instance, semantic, event = (
            torch.tensor(x, dtype=torch.int64) for x in (self.instance, self.semantic, self.event)
        )
        found = find_instances(instance, semantic, event)
        embedding, margin, seediness = (output[found.voxels] for output in self.outputs)
        return embedding_loss_terms(
            embedding, margin, seediness, found, mask_loss=mask_loss, delta=delta, focal_gamma=focal_gamma
        )

    def slow(
        self, mask_loss: MaskLoss = "lovasz", *, delta: float = 0.2, focal_gamma: float = 2.0
    ) -> dict[str, Tensor]:
        return naive_losses.embedding_terms(
            *self.outputs,
            event=self.event,
            semantic=self.semantic,
            instance=self.instance,
            kind=mask_loss,
            delta=delta,
            gamma=focal_gamma,
        )

    def part(self, rows: slice) -> Case:
        values = (output[rows] for output in self.outputs)
        return Case(self.event[rows], self.semantic[rows], self.instance[rows], *values)

    def gradients(self, term: Tensor) -> list[Tensor]:
        grads = torch.autograd.grad(term, self.outputs, retain_graph=True, allow_unused=True)
        return [
            torch.zeros_like(output) if grad is None else grad for grad, output in zip(grads, self.outputs, strict=True)
        ]


def make_case(rows: list[tuple[int, int, int]], seed: int = 0, dim: int = 3, spread: float = 0.5) -> Case:
    event, semantic, instance = ([row[column] for row in rows] for column in range(3))
    generator = torch.Generator().manual_seed(seed)
    n = len(rows)
    embedding = spread * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    margin, seediness = 0.1 + 0.8 * torch.rand(2, n, generator=generator, dtype=torch.float64)
    return Case(event, semantic, instance, *(x.requires_grad_() for x in (embedding, margin, seediness)))


CROWD = make_case([(row % 2, row % 3 - 1, row // 3 % 4 - 1) for row in range(40)], seed=1, spread=0.2)
"""Two events, two classes, three instances a class, unlabelled voxels."""


@pytest.mark.parametrize("kind", KINDS)
@given(rows=labels, seed=st.integers(0, 1000), dim=st.sampled_from([2, 3]))
def test_values_equal_loops(kind: MaskLoss, rows: list[tuple[int, int, int]], seed: int, dim: int) -> None:
    case = make_case(rows, seed, dim)
    fast, slow = case.fast(kind), case.slow(kind)
    assert tuple(fast) == TERMS
    for term in TERMS:
        torch.testing.assert_close(fast[term], slow[term], rtol=1e-6, atol=1e-9)  # weights are float32


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_loops(kind: MaskLoss) -> None:
    fast, slow = CROWD.fast(kind), CROWD.slow(kind)
    for term in TERMS:
        for found, expected in zip(CROWD.gradients(fast[term]), CROWD.gradients(slow[term]), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("term", "kind"), [*(("mask", kind) for kind in KINDS), ("separation", "lovasz")])
def test_gradcheck(term: str, kind: MaskLoss) -> None:
    case = make_case([(0, row % 2, row // 2 % 3) for row in range(12)], seed=2, spread=0.2)

    def value(embedding: Tensor, margin: Tensor) -> Tensor:
        return case._replace(embedding=embedding, margin=margin).fast(kind)[term]

    assert torch.autograd.gradcheck(value, (case.embedding, case.margin))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0])
def test_focal_gamma(gamma: float) -> None:
    found = CROWD.fast("focal", focal_gamma=gamma)["mask"]
    torch.testing.assert_close(found, CROWD.slow("focal", focal_gamma=gamma)["mask"], rtol=1e-6, atol=0)
    if gamma == 0:
        torch.testing.assert_close(found, CROWD.fast("bce")["mask"])


@pytest.mark.parametrize("delta", [0.05, 0.2, 1.0])
def test_separation_delta(delta: float) -> None:
    case = make_case([(row % 2, row % 3, row // 6 % 3) for row in range(40)], seed=1, spread=0.02)
    found = case.fast(delta=delta)["separation"]
    assert found > 0
    torch.testing.assert_close(found, case.slow(delta=delta)["separation"], rtol=1e-6, atol=0)


def test_separation_by_hand() -> None:
    """Two centroids 0.1 apart, delta 0.2: (0.4 - 0.1)^2; beyond 0.4 nothing."""
    case = make_case([(0, 0, 0), (0, 0, 1)], dim=2)
    near = case._replace(embedding=torch.tensor([[0.0, 0.0], [0.06, 0.08]], dtype=torch.float64))
    assert near.fast()["separation"].item() == pytest.approx(0.09)
    far = case._replace(embedding=torch.tensor([[0.0, 0.0], [0.3, 0.3]], dtype=torch.float64))
    assert far.fast()["separation"].item() == 0


def test_probability_by_hand() -> None:
    """At one sigma exp(-1/2)."""
    found = pair_probability(torch.tensor([0.0, 0.25, 1.0]), torch.tensor([0.5, 0.5, 0.5]))
    torch.testing.assert_close(found, torch.tensor([0.0, -0.5, -2.0]).exp())


def test_smoothing_pulls_margins_to_a_mean_that_stands_still() -> None:
    """d/d sigma_i of the mean of |sigma_i - m| is sign / n when m is fixed; a moving m would add to it."""
    case = make_case([(0, 0, 0)] * 3)
    margin = torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64, requires_grad=True)
    term = case._replace(margin=margin).fast()["smoothing"]
    assert term.item() == pytest.approx((0.3 + 0.2 + 0.5) / 3)
    (grad,) = torch.autograd.grad(term, margin)
    torch.testing.assert_close(grad, torch.tensor([-1 / 3, -1 / 3, 1 / 3], dtype=torch.float64))


def test_seediness_follows_the_probability_and_does_not_move_it() -> None:
    embedding, margin, seediness = CROWD.gradients(CROWD.fast()["seediness"])
    assert not embedding.any()
    assert not margin.any()
    assert seediness.any()
    embedding, margin, seediness = CROWD.gradients(CROWD.fast()["mask"])
    assert embedding.any()
    assert margin.any()
    assert not seediness.any()


def test_the_mask_moves_the_centroid() -> None:
    """The centroid is not a constant: a voxel far outside still pulls its own instance."""
    case = make_case([(0, 0, 0), (0, 0, 0), (0, 0, 1)], dim=2, seed=4)
    detached = case._replace(embedding=case.embedding)
    fast = detached.gradients(detached.fast("bce")["mask"])[0]
    slow = detached.gradients(detached.slow("bce")["mask"])[0]
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(fast.sum(0), torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)


NOTHING: dict[str, list[tuple[int, int, int]]] = {
    "no voxel": [],
    "no labelled voxel": [(0, -1, -1), (1, -1, -1)],
    "class without instance": [(0, 1, -1)],
    "instance without class": [(0, -1, 2)],
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_to_learn_from_is_zero_and_attached(name: str) -> None:
    case = make_case(NOTHING[name])
    terms = case.fast()
    assert tuple(terms) == TERMS
    assert all(value.item() == 0 for value in terms.values())
    for grad in torch.autograd.grad(terms["mask"], case.outputs):
        assert not grad.any()


def test_one_voxel_is_a_perfect_instance() -> None:
    case = make_case([(0, 0, 5)])
    terms = case.fast()
    assert terms["mask"].item() == 0
    assert terms["separation"].item() == 0
    assert terms["smoothing"].item() == 0
    assert terms["seediness"].item() == pytest.approx(1 - case.seediness.item())


def test_one_instance_has_no_pair() -> None:
    terms = make_case([(0, 0, 5)] * 4).fast()
    assert terms["separation"].item() == 0
    assert terms["mask"] > 0


@pytest.mark.parametrize("term", TERMS)
def test_unlabelled_voxels_and_empty_events_change_nothing(term: str) -> None:
    rows = [(0, row % 2, row // 2 % 3) for row in range(12)]
    case = make_case(rows)
    more = make_case([*rows, (0, -1, 0), (0, 1, -1), (2, -1, -1)])
    outputs = [
        torch.cat([own.detach(), other.detach()[len(rows) :]]).requires_grad_()
        for own, other in zip(case.outputs, more.outputs, strict=True)
    ]
    more = Case(more.event, more.semantic, more.instance, *outputs)
    torch.testing.assert_close(more.fast()[term], case.fast()[term])
    for grad in more.gradients(more.fast()[term]):
        assert not grad[len(rows) :].any()


def test_a_crowded_event_counts_as_much_as_a_small_one() -> None:
    small, large = [(0, 0, 0), (0, 0, 1)], [(1, 0, row % 3) for row in range(30)]
    both = make_case([*small, *large])
    first, second = both.part(slice(0, 2)), both.part(slice(2, None))
    for term in TERMS:
        expected = (first.fast()[term] + second.fast()[term]) / 2
        torch.testing.assert_close(both.fast()[term], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_centroids_that_coincide_have_a_finite_gradient(kind: MaskLoss) -> None:
    case = make_case([(0, 0, 0), (0, 0, 1)], dim=2)
    case = case._replace(embedding=torch.zeros(2, 2, dtype=torch.float64, requires_grad=True))
    terms = case.fast(kind)
    assert terms["separation"].item() == pytest.approx(0.16, abs=1e-5)
    for value in terms.values():
        for grad in case.gradients(value):
            assert torch.isfinite(grad).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.0, 1e-30, 1e-20, 1e-12])
def test_a_margin_that_vanishes_stays_finite(kind: MaskLoss, width: float) -> None:
    """2 sigmoid(x) in float32 is 1e-30 at x = -70 and 0 below -104; such a margin must not become NaN."""
    case = make_case([(0, 0, 0), (0, 0, 0), (0, 0, 1)])
    embedding, seediness = (x.detach().float().requires_grad_() for x in (case.embedding, case.seediness))
    case = case._replace(
        embedding=embedding,
        seediness=seediness,
        margin=torch.full((3,), width, dtype=torch.float32, requires_grad=True),
    )
    for term, value in case.fast(kind).items():
        assert torch.isfinite(value), term
        for grad in case.gradients(value):
            assert torch.isfinite(grad).all(), term


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_runs_under_autocast_on_cuda(kind: MaskLoss) -> None:
    """Torch refuses `binary_cross_entropy` under CUDA autocast, where training runs."""
    found = find_instances(*(torch.tensor(x).cuda() for x in (CROWD.instance, CROWD.semantic, CROWD.event)))
    embedding, margin, seediness = (x.detach().float().cuda()[found.voxels] for x in CROWD.outputs)
    with torch.autocast("cuda", torch.bfloat16):
        terms = embedding_loss_terms(embedding, margin, seediness, found, mask_loss=kind)
    for term, expected in CROWD.fast(kind).items():
        torch.testing.assert_close(terms[term].double().cpu(), expected, rtol=1e-4, atol=1e-5)
