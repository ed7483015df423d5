"""The losses written a second time, from the formulas of the papers: loops over events, classes, instances, voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def jaccard_loss(wrong: set[int], positive: set[int]) -> float:
    """Equation 6 of arXiv:1705.08790: |M| / |{y = 1} u M| for the set M of mispredicted voxels."""
    return len(wrong) / len(positive | wrong) if wrong else 0.0


def lovasz_hinge(scores: Tensor, member: Sequence[bool]) -> Tensor:
    """Lovasz extension (definition 2 of arXiv:1705.08790) of the Jaccard loss at the hinge errors of one mask."""
    errors = [1 - score if inside else 1 + score for score, inside in zip(scores, member, strict=True)]
    positive = {i for i, inside in enumerate(member) if inside}
    total = scores.new_zeros(())
    wrong: set[int] = set()
    for i in sorted(range(len(errors)), key=lambda i: -errors[i].item()):
        step = jaccard_loss(wrong | {i}, positive) - jaccard_loss(wrong, positive)
        total = total + torch.relu(errors[i]) * step
        wrong.add(i)
    return total


def cross_entropy(p: Tensor, inside: bool) -> Tensor:
    clamped = p.clamp(1e-6, 1 - 1e-6)
    return -(clamped if inside else 1 - clamped).log()


def mask_loss(p: Sequence[Tensor], member: Sequence[bool], kind: str, gamma: float) -> Tensor:
    bce = [cross_entropy(value, inside) for value, inside in zip(p, member, strict=True)]
    hinge = lovasz_hinge(torch.stack([2 * value - 1 for value in p]), member)
    if kind == "lovasz":
        return hinge
    if kind == "bce":
        return mean(bce)
    if kind == "lovasz_bce":
        return hinge + mean(bce)
    return mean([(1 - torch.exp(-each)) ** gamma * each for each in bce])  # exp(-bce) is the probability of the truth


def class_terms(
    e: Tensor, sigma: Tensor, s: Tensor, instance: Sequence[int], *, kind: str, delta: float, gamma: float
) -> dict[str, Tensor]:
    """The four terms of one class of one event; all voxels belong to an instance."""
    numbers = sorted(set(instance))
    rows = {k: [i for i, number in enumerate(instance) if number == k] for k in numbers}
    centre = {k: torch.stack([e[i] for i in rows[k]]).mean(0) for k in numbers}
    width = {k: mean([sigma[i] for i in rows[k]]) for k in numbers}
    masks, smooth, seed, apart = [], [], [], []
    for k in numbers:
        p = [torch.exp(-((e[i] - centre[k]) ** 2).sum() / (2 * width[k] ** 2)) for i in range(len(instance))]
        masks.append(mask_loss(p, [number == k for number in instance], kind, gamma))
        smooth.append(mean([(sigma[i] - width[k].detach()).abs() for i in rows[k]]))
        seed += [(s[i] - p[i].detach()).abs() for i in rows[k]]
        for other in numbers:
            if other != k:
                distance = ((centre[k] - centre[other]) ** 2).sum().sqrt()
                apart.append(torch.relu(2 * delta - distance) ** 2)
    return {
        "mask": mean(masks),
        "separation": mean(apart) if apart else e.new_zeros(()),
        "smoothing": mean(smooth),
        "seediness": mean(seed),
    }


def embedding_terms(
    e: Tensor,
    sigma: Tensor,
    s: Tensor,
    *,
    event: Sequence[int],
    semantic: Sequence[int],
    instance: Sequence[int],
    kind: str = "lovasz",
    delta: float = 0.2,
    gamma: float = 2.0,
) -> dict[str, Tensor]:
    """Terms averaged over the classes of an event, then over the events that have a class."""
    events = []
    labels = list(zip(event, semantic, instance, strict=True))
    for number in sorted(set(event)):
        classes = []
        for name in sorted({c for b, c, k in labels if b == number and c >= 0 and k >= 0}):
            rows = [i for i, (b, c, k) in enumerate(labels) if (b, c) == (number, name) and k >= 0]
            own = [instance[i] for i in rows]
            classes.append(class_terms(e[rows], sigma[rows], s[rows], own, kind=kind, delta=delta, gamma=gamma))
        if classes:
            events.append({term: mean([terms[term] for terms in classes]) for term in classes[0]})
    if not events:
        return dict.fromkeys(("mask", "separation", "smoothing", "seediness"), e.new_zeros(()))
    return {term: mean([terms[term] for terms in events]) for term in events[0]}
