"""The batch that spoilt a loss, kept for a look."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lartpc_sparse.data.batch import Batch

__all__ = ["save_batch"]


def save_batch(batch: Batch, folder: Path, step: int, rank: int) -> Path:
    """Write a batch as a numpy archive without pickled objects; returns its path.

    It holds `event_file` and `event_entry`, `offsets` (E+1), and by voxel `coords`, `energy`, `feats` and
    `label_<name>`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bad_batch_step_{step:07d}_rank_{rank}.npz"
    arrays = {
        "event_file": np.array([key.file for key in batch.keys], dtype=np.str_),
        "event_entry": np.array([key.entry for key in batch.keys], dtype=np.int64),
        "offsets": batch.offsets.cpu().numpy(),
        "coords": batch.coords.cpu().numpy(),
        "energy": batch.energy.cpu().numpy(),
        "feats": batch.feats.detach().cpu().numpy(),
        **{f"label_{name}": values.cpu().numpy() for name, values in batch.labels.items()},
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path
