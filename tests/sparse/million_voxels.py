"""A million voxels through the CPU engine, in a process of its own: values of some rows, and peak memory below 2 GB."""

from __future__ import annotations

import itertools
import resource

import numpy as np
import torch

from lartpc_sparse.sparse import SparseTensor
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine
from lartpc_sparse.sparse.operations import strided_conv, submanifold_conv

VOXELS, SIDE, CHECKED = 1_000_000, 256, 2000
LIMIT_GB = 2.0


def main() -> None:
    rng = np.random.default_rng(0)
    cells = rng.permutation(SIDE**3)[:VOXELS]  # x * SIDE^2 + y * SIDE + z
    coords = np.stack(np.unravel_index(cells, (SIDE,) * 3), axis=1) - SIDE // 2
    row_of_cell = np.full(SIDE**3, -1)
    row_of_cell[cells] = np.arange(VOXELS)

    def rows_at(voxels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        shifted = voxels + SIDE // 2
        inside = ((shifted >= 0) & (shifted < SIDE)).all(axis=1)
        found = row_of_cell[np.ravel_multi_index(shifted.clip(0, SIDE - 1).T, (SIDE,) * 3)]
        return np.where(inside, found, -1)

    generator = torch.Generator().manual_seed(1)
    feats = torch.randn(VOXELS, 4, generator=generator)
    fine = SparseTensor.build(torch.from_numpy(coords.astype(np.int32)), feats, torch.tensor([0, VOXELS]), CpuEngine())
    weight = torch.randn(27, 4, 6, generator=generator)
    down = torch.randn(8, 4, 6, generator=generator)
    results = [
        (submanifold_conv(fine, weight, (3, 3, 3)), weight, range(-1, 2), 1),
        (strided_conv(fine, down, (2, 2, 2), (2, 2, 2)), down, range(2), 2),
    ]
    for out, kernel, offsets, step in results:
        chosen = torch.from_numpy(rng.integers(len(out), size=CHECKED))
        centre = out.coords[chosen].numpy() * step
        expected = torch.zeros(CHECKED, 6, dtype=torch.float64)
        for slot, offset in enumerate(itertools.product(offsets, repeat=3)):
            rows = torch.from_numpy(rows_at(centre + np.array(offset)))
            inputs = torch.where(rows[:, None] >= 0, feats[rows.clamp(min=0)], 0.0)
            expected += inputs.double() @ kernel[slot].double()
        torch.testing.assert_close(out.feats[chosen].double(), expected, rtol=1e-5, atol=1e-4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if peak > LIMIT_GB:
        raise MemoryError(f"peak memory {peak:.2f} GB, allowed are {LIMIT_GB} GB")
    print(f"{VOXELS} voxels, {len(results[1][0])} coarse ones, peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
