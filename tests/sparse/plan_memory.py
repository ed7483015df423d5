"""Resident memory after 1,000 and after 10,000 plans, in a process of its own; prints the growth in MB."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

import torch

from lartpc_sparse.sparse import Plan
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine

FIRST, LAST, VOXELS = 1_000, 10_000, 200


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def build(coords: torch.Tensor, offsets: torch.Tensor) -> None:
    plan = Plan.build(coords, offsets, CpuEngine())
    kernel_map = plan.submanifold_map((1, 1, 1), (3, 3, 3))
    down = plan.strided_map((1, 1, 1), (2, 2, 2), (2, 2, 2))
    feats = torch.ones(VOXELS, 2)
    for each in (kernel_map, kernel_map.transposed, down):
        CpuEngine().convolve(feats, torch.ones(each.kernel_volume, 2, 3), each)
    CpuEngine().convolve(torch.ones(down.num_out, 2), torch.ones(8, 2, 3), down.transposed)


def main() -> None:
    torch.set_num_threads(2)
    gc.disable()  # what is freed must not wait for the garbage collector
    cells = torch.randperm(12**3, generator=torch.Generator().manual_seed(1))[:VOXELS]
    coords = torch.stack([cells // 144, cells // 12 % 12, cells % 12], dim=1).int()
    offsets = torch.tensor([0, VOXELS // 2, VOXELS])
    before = 0.0
    for number in range(1, LAST + 1):
        build(coords, offsets)
        if number == FIRST:
            before = resident_mb()
    print(resident_mb() - before)


if __name__ == "__main__":
    main()
