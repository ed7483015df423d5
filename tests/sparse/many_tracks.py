"""Straight tracks, one voxel thick, enough of them to fill many blocks of the CPU engine."""

from __future__ import annotations

import torch
from voxel_batches import Voxels


def many_tracks(dim: int, tracks: int, *, events: int = 2, length: int = 400, shuffled: bool = False) -> Voxels:
    """Events of `tracks` tracks of up to `length` voxels, with an empty event after the first; rows sorted or not."""
    generator = torch.Generator().manual_seed(dim + 10 * tracks)
    parts = []
    for _ in range(events):
        directions = torch.nn.functional.normalize(torch.randn(tracks, dim, generator=generator), dim=1)
        starts = torch.randint(-60, 60, (tracks, dim), generator=generator)
        steps = torch.arange(length).view(-1, 1, 1) * directions + starts
        voxels = steps.round().int().reshape(-1, dim).unique(dim=0)
        parts.append(voxels[torch.randperm(len(voxels), generator=generator)] if shuffled else voxels)
    parts.insert(1, torch.empty((0, dim), dtype=torch.int32))
    offsets = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    return Voxels(torch.cat(parts), offsets)
