"""The truth of a frame on rebinned pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from lartpc_sparse.data.event import Event

__all__ = ["true_pixels"]


def true_pixels(
    truth: Event, size: tuple[int, ...], factor: int
) -> tuple[Float32[np.ndarray, "H W"], Int64[np.ndarray, "H W"]]:
    """Mean true light of rebinned pixels, and the recoil with the most light in each, -1 where there is none."""
    pixels = int(np.prod(size))
    block = (truth.coords[:, 0].astype(np.int64) // factor) * size[1] + truth.coords[:, 1] // factor
    light = np.bincount(block, weights=truth.energy, minlength=pixels) / factor**2
    owner = np.full(pixels, -1, dtype=np.int64)
    instance = np.asarray(truth.labels.get("instance", np.zeros(len(truth))), dtype=np.int64)
    if len(truth):
        pair, inverse = np.unique(block * (instance.max() + 1) + instance, return_inverse=True)
        share = np.bincount(inverse, weights=truth.energy)
        order = np.argsort(share, kind="stable")  # the last that is written is the brightest
        owner[pair[order] // (instance.max() + 1)] = pair[order] % (instance.max() + 1)
    return light.astype(np.float32).reshape(size), owner.reshape(size)
