"""Losses over the events of all ranks: exactly those that one rank would see with all events in one batch.

A mean over voxels, particles or events is not the mean of the means of the ranks. So each rank is given the head
outputs of all ranks, and computes the loss of the whole batch. Gradients flow back to a rank's own voxels only, times
the number of ranks, because DistributedDataParallel then divides by it: the sum over the ranks is the gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.dataset import is_filler

__all__ = ["gather_batch", "gather_outputs"]


def gather_batch(batch: Batch) -> Batch:
    """The events of all ranks in one batch, rank after rank, without the filling of ranks that had none."""
    counts = batch.offsets.diff()
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, (batch.keys, counts.tolist(), sorted(batch.labels)))
    names = set.intersection(*(set(labels) for _, _, labels in parts))
    keys = [key for own, _, _ in parts for key in own]
    sizes = [size for _, own, _ in parts for size in own]
    events = [(key, size) for key, size in zip(keys, sizes, strict=True) if not is_filler(key)]
    rows = [sum(own) for _, own, _ in parts]
    ends = torch.tensor([0, *(size for _, size in events)], dtype=torch.int64).cumsum(0)
    return dataclasses.replace(
        batch,
        coords=_gather(batch.coords, rows),
        feats=_gather(batch.feats, rows),
        energy=_gather(batch.energy, rows),
        offsets=ends.to(batch.offsets.device),
        labels={name: _gather(batch.labels[name], rows) for name in batch.labels if name in names},
        keys=tuple(key for key, _ in events),
        events=(),
    )


def gather_outputs(outputs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """The raw outputs of the heads, rows of all ranks one after the other; differentiable."""
    rows: list[int] | None = None
    gathered: dict[str, dict[str, Tensor]] = {}
    for name, output in outputs.items():
        gathered[name] = {}
        for key, values in output.items():
            if rows is None:
                rows = _counts(len(values), values.device)
            gathered[name][key] = _GatherRows.apply(values, rows)  # type: ignore[no-untyped-call]
    return gathered


def _counts(own: int, device: torch.device) -> list[int]:
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([own], device=device))
    return [int(count) for count in counts]


def _gather(values: Tensor, rows: list[int]) -> Tensor:
    """Rows of all ranks; filled up to the longest share on the way, because gloo wants equal shapes."""
    longest = max(rows)
    sent = values.to(torch.uint8) if values.dtype == torch.bool else values
    padded = sent.new_zeros((longest, *values.shape[1:]))
    padded[: len(values)] = sent
    parts = [torch.empty_like(padded) for _ in rows]
    if padded.numel():
        dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)]).to(values.dtype)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: list[int]) -> Tensor:
        ctx.rows = rows
        return _gather(values.detach(), rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        first = sum(ctx.rows[: dist.get_rank()])
        return grad[first : first + ctx.rows[dist.get_rank()]] * dist.get_world_size(), None
