"""The network that every contestant runs, its weights, and what one pass of it costs.

UResNet, 32 filters, five levels (four coarsenings by 2), linear growth, two residual blocks a level, batch norm and
ReLU. Five levels, not five coarsenings: with them the synthetic cases give the 9.2, 10.9, 37.4 and 141 GFLOP that were
stated with their numbers of neighbours (six levels would give 8 to 11 % more).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.cases import CaseBatch
from lartpc_sparse.backbone import UResNet, UResNetConfig
from lartpc_sparse.sparse import Plan

__all__ = [
    "CONFIG",
    "TRAINING_FACTOR",
    "LevelCounts",
    "build_network",
    "count_levels",
    "forward_features",
    "forward_flop",
]

CONFIG = UResNetConfig(filters=32, depth=4, blocks=2, growth="linear", norm="batch", activation="relu")

TRAINING_FACTOR = 3
"""A training step multiplies three times: forward, data gradient, weight gradient."""


def build_network(dim: int, seed: int = 0) -> UResNet:
    """The network with repeatable weights, and batch norms as training leaves them: far from (0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CONFIG.build(in_channels=1, dim=dim, streams=("out",))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            running_mean, running_var = module.running_mean, module.running_var
            assert running_mean is not None
            assert running_var is not None
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.0, generator=generator)
                module.bias.normal_(0.0, 0.1, generator=generator)
                running_mean.normal_(0.0, 0.1, generator=generator)
                running_var.uniform_(0.5, 2.0, generator=generator)
    return network


@dataclass(frozen=True)
class LevelCounts:
    """Sizes of the levels of a batch, finest first.

    Attributes:
        voxels: voxels of each level.
        pairs: pairs of voxels that a 3^D kernel connects, each voxel with itself included.
    """

    voxels: tuple[int, ...]
    pairs: tuple[int, ...]

    @property
    def neighbours(self) -> tuple[float, ...]:
        """Neighbours per voxel of each level, the voxel itself included."""
        return tuple(pairs / max(voxels, 1) for pairs, voxels in zip(self.pairs, self.voxels, strict=True))


def count_levels(batch: CaseBatch) -> LevelCounts:
    """Voxels and pairs of every level of the network, counted by the torch engine."""
    plan = Plan.build(batch.coords, batch.offsets)
    stride = (1,) * plan.dim
    voxels, pairs = [], []
    for level in range(CONFIG.depth + 1):
        if level:
            stride = plan.coarser(stride, (2,) * plan.dim).stride
        voxels.append(len(plan.level(stride)))
        pairs.append(len(plan.submanifold_map(stride, (CONFIG.kernel_size,) * plan.dim).in_index))
    return LevelCounts(tuple(voxels), tuple(pairs))


def forward_flop(counts: LevelCounts, in_channels: int = 1) -> int:
    """Floating-point operations of the multiplications of one forward pass: 2 C_in C_out for every pair."""
    products = counts.pairs[0] * in_channels * CONFIG.channels(0)  # the stem
    for level, (voxels, pairs) in enumerate(zip(counts.voxels, counts.pairs, strict=True)):
        width = CONFIG.channels(level)
        products += 2 * CONFIG.blocks * pairs * width * width  # encoder
        if level < CONFIG.depth:
            wider = CONFIG.channels(level + 1)
            products += 2 * voxels * width * wider  # down and up: every fine voxel has one parent
            products += pairs * width * width * (2 * CONFIG.blocks + 1)  # decoder; its first layer reads 2 widths
            products += voxels * 2 * width * width  # 1 x 1 shortcut of the first block
    return 2 * products


def forward_features(counts: LevelCounts, in_channels: int = 1) -> int:
    """Features that the convolutions of one forward pass must at least read and write; the weights are left out."""
    moved = counts.voxels[0] * (in_channels + CONFIG.channels(0))
    for level, voxels in enumerate(counts.voxels):
        width = CONFIG.channels(level)
        moved += 2 * CONFIG.blocks * voxels * 2 * width
        if level < CONFIG.depth:
            wider, coarser = CONFIG.channels(level + 1), counts.voxels[level + 1]
            moved += 2 * (voxels * width + coarser * wider)  # down and up
            moved += voxels * width * (3 + 2 * (2 * CONFIG.blocks - 1))  # decoder
            moved += voxels * width * 3  # 1 x 1 shortcut of the first block
    return moved
