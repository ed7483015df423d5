"""The Lovasz hinge of many masks at once against the definition, mask by mask."""

from __future__ import annotations

import naive_losses
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lartpc_sparse.heads.losses import lovasz_hinge
from lartpc_sparse.heads.losses.lovasz import segment_sum


def random_masks(seed: int, pairs: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.rand(pairs, generator=generator, dtype=torch.float64) - 1
    member = torch.rand(pairs, generator=generator) < 0.4
    return scores, member, torch.randint(count, (pairs,), generator=generator)


@given(seed=st.integers(0, 2**31), pairs=st.integers(0, 40), count=st.integers(1, 5))
def test_equals_the_definition_for_every_mask(seed: int, pairs: int, count: int) -> None:
    scores, member, mask = random_masks(seed, pairs, count)
    found = lovasz_hinge(scores, member, mask, count)
    assert found.shape == (count,)
    for k in range(count):
        expected = naive_losses.lovasz_hinge(scores[mask == k], member[mask == k].tolist())
        torch.testing.assert_close(found[k], expected, rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 2**31), count=st.integers(1, 4))
def test_decided_scores_cost_twice_the_jaccard_loss(seed: int, count: int) -> None:
    """At scores of +1 and -1 the errors are 0 or 2, so the Lovasz extension is 2 (1 - IoU)."""
    scores, member, mask = random_masks(seed, 30, count)
    scores = scores.sign()
    found = lovasz_hinge(scores, member, mask, count)
    for k in range(count):
        inside, truth = scores[mask == k] > 0, member[mask == k]
        union = int((inside | truth).sum())
        iou = int((inside & truth).sum()) / union if union else 1.0
        assert found[k].item() == pytest.approx(2 * (1 - iou), abs=1e-12)


def test_gradient_is_that_of_the_definition() -> None:
    scores, member, mask = random_masks(3, 30, 3)
    weights = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    fast, slow = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    torch.autograd.backward((lovasz_hinge(fast, member, mask, 3) * weights).sum())
    for k in range(3):
        chosen = mask == k
        torch.autograd.backward(naive_losses.lovasz_hinge(slow[chosen], member[chosen].tolist()) * weights[k])
    assert fast.grad is not None
    assert fast.grad.any()
    torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: lovasz_hinge(x, member, mask, 3), scores.clone().requires_grad_())


def test_order_of_the_pairs_does_not_matter() -> None:
    scores, member, mask = random_masks(5, 50, 4)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        lovasz_hinge(scores[order], member[order], mask[order], 4), lovasz_hinge(scores, member, mask, 4)
    )


def test_right_by_the_margin_costs_nothing() -> None:
    member = torch.tensor([True, False, True, False])
    scores = torch.where(member, 1.0, -1.0)
    assert not lovasz_hinge(scores, member, torch.tensor([0, 0, 1, 1]), 2).any()


@pytest.mark.parametrize(("score", "member", "expected"), [(0.5, True, 0.5), (-1.0, True, 2.0), (0.5, False, 1.5)])
def test_one_voxel(score: float, member: bool, expected: float) -> None:
    """One voxel: the Jaccard loss of getting it wrong is 1, so the hinge error itself remains."""
    found = lovasz_hinge(torch.tensor([score]), torch.tensor([member]), torch.tensor([0]), 1)
    assert found.tolist() == [expected]


def test_masks_without_pairs_cost_nothing() -> None:
    none = torch.zeros(0)
    assert lovasz_hinge(none, none.bool(), none.long(), 2).tolist() == [0.0, 0.0]
    found = lovasz_hinge(torch.tensor([-1.0]), torch.tensor([True]), torch.tensor([1]), 3)
    assert found.tolist() == [0.0, 2.0, 0.0]


def test_counts_stay_exact_far_into_a_large_batch() -> None:
    """A running count in float16 stops at 2048 (in float32 at 2^24) and would spoil the last mask."""
    generator = torch.Generator().manual_seed(0)
    many = 40_000
    scores = torch.cat([torch.ones(many), 2 * torch.rand(64, generator=generator) - 1])
    member = torch.ones(len(scores), dtype=torch.bool)
    member[many + 20 :] = False
    mask = torch.zeros(len(scores), dtype=torch.int64)
    mask[many:] = 1
    found = lovasz_hinge(scores.half(), member, mask, 2)[1]
    expected = naive_losses.lovasz_hinge(scores[many:], member[many:].tolist())
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0)


@given(seed=st.integers(0, 2**31), width=st.integers(0, 3))
def test_segment_sum_adds_up_each_segment(seed: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand((12, *[2] * width), generator=generator, dtype=torch.float64)
    segment = torch.randint(4, (12,), generator=generator)
    expected = torch.stack([values[segment == k].sum(0) for k in range(5)])
    torch.testing.assert_close(segment_sum(values, segment, 5), expected)
