"""Tracks as a detector sees them: one voxel thick, so that most kernel slots meet nothing."""

from __future__ import annotations

import torch
from voxel_batches import Voxels, from_events


def thin_tracks() -> Voxels:
    """Two events of a few straight tracks, one voxel thick, crossing in the middle."""
    events = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        directions = torch.nn.functional.normalize(torch.randn(3, 3, generator=generator), dim=1)
        steps = torch.arange(-25, 25).view(-1, 1, 1) * directions
        events.append(sorted({tuple(voxel) for voxel in steps.round().int().reshape(-1, 3).tolist()}))
    return from_events(events, 3)
