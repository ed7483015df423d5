"""Inference of a UResNet with fused convolutions: no norm, activation, sum or concatenation is a pass of its own.

Every convolution writes what its consumers read: the raw sum where a residual or a skip needs it, and one copy for
each consumer with the consumer's batch norm and activation applied. A concatenation is a convolution of two
inputs, and the 1 x 1 shortcut behind it is a further summand of the block's second convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lartpc_sparse.backbone.blocks import Block, ResidualBlock
from lartpc_sparse.backbone.folding import folded, halves, part
from lartpc_sparse.sparse import (
    PointwiseConv,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)
from lartpc_sparse.sparse.fusion import Epilogue, FusedConvolution, FusingEngine

__all__ = ["FusedDecoder", "FusedEncoder", "Target"]

_RAW = Epilogue()


@dataclass(frozen=True)
class Target:
    """Where the fused convolutions run: an engine, and the format of features and weights."""

    engine: FusingEngine
    dtype: torch.dtype

    def prepare(
        self, weights: Sequence[Tensor], epilogues: Sequence[Epilogue], bias: Tensor | None
    ) -> FusedConvolution:
        """See `FusingEngine.prepare`; without gradients."""
        bias = None if bias is None else bias.detach()
        return self.engine.prepare([weight.detach() for weight in weights], epilogues, bias, self.dtype)


def _split(weight: Tensor, first: int | None) -> list[Tensor]:
    """A weight cut where its input is concatenated."""
    return [weight] if first is None else [weight[..., :first, :], weight[..., first:, :]]


class _FusedBlock:
    """A block whose input arrives as (raw, normalised) for each part of a concatenation."""

    def __init__(self, target: Target, block: Block, exits: Sequence[Epilogue], first: int | None = None) -> None:
        _, conv1, middle, conv2 = block.path
        assert isinstance(conv1, SubmanifoldConv)
        assert isinstance(conv2, SubmanifoldConv)
        self.kernel_size = conv1.kernel_size
        self.conv1 = target.prepare(_split(conv1.weight, first), [folded(middle)], conv1.bias)
        weights: list[Tensor] = [conv2.weight]
        self.residual = self.shortcut = False
        if isinstance(block, ResidualBlock):
            self.shortcut = isinstance(block.shortcut, PointwiseConv)
            self.residual = not self.shortcut
            if isinstance(block.shortcut, PointwiseConv):
                weights += _split(block.shortcut.weight, first)
        self.conv2 = target.prepare(weights, exits, conv2.bias)

    def run(self, x: SparseTensor, raw: Sequence[Tensor], normalised: Sequence[Tensor]) -> list[Tensor]:
        """One tensor for every exit; `x` says on which voxels."""
        kernel_map = x.plan.submanifold_map(x.stride, self.kernel_size)
        rows = kernel_map.num_out
        (middle,) = self.conv1(normalised, [kernel_map] * len(normalised), rows)
        if self.shortcut:
            return self.conv2([middle, *raw], [kernel_map, *[None] * len(raw)], rows)
        return self.conv2([middle], [kernel_map], rows, raw[0] if self.residual else None)


class _FusedBlocks:
    """Blocks one after the other; the exits are those of the last one."""

    def __init__(
        self, target: Target, blocks: Sequence[nn.Module], exits: Sequence[Epilogue], first: int | None = None
    ) -> None:
        self.blocks = []
        self.entry = folded(_entry(blocks[0]))
        for number, block in enumerate(blocks):
            assert isinstance(block, Block)
            last = number == len(blocks) - 1
            following = exits if last else [_RAW, folded(_entry(blocks[number + 1]))]
            self.blocks.append(_FusedBlock(target, block, following, first if number == 0 else None))

    def run(self, x: SparseTensor, raw: Sequence[Tensor], normalised: Sequence[Tensor]) -> list[Tensor]:
        for block in self.blocks[:-1]:
            raw_out, normalised_out = block.run(x, raw, normalised)
            raw, normalised = [raw_out], [normalised_out]
        return self.blocks[-1].run(x, raw, normalised)


def _entry(block: nn.Module) -> nn.Module:
    assert isinstance(block, Block)
    return block.path[0]


class FusedDecoder:
    """A decoder of a UResNet.

    Attributes:
        entries: what the encoder has to apply to each level for this decoder, finest level first.
    """

    def __init__(
        self,
        target: Target,
        up: Sequence[nn.Module],
        blocks: Sequence[nn.Module],
        final: nn.Module,
        out: nn.Module | None = None,
    ) -> None:
        last = final if out is None else part(out, 0)
        self.out: TransposedConv | None = None
        if out is not None:
            layer = part(out, 1)
            assert isinstance(layer, TransposedConv)
            self.out, self.to_fine = layer, target.prepare([layer.weight], [folded(final)], layer.bias)
        norms = [part(module, 0) for module in up]
        layers = [part(module, 1) for module in up]
        self.layers: list[TransposedConv] = [layer for layer in layers if isinstance(layer, TransposedConv)]
        self.ups, self.blocks = [], []
        self.entries = [folded(norms[0] if norms else last)]
        for number, (layer, module) in enumerate(zip(self.layers, blocks, strict=True)):
            assert isinstance(module, nn.Sequential)
            first = layer.weight.shape[2]
            after = folded(norms[number + 1] if number + 1 < len(norms) else last)
            stage = _FusedBlocks(target, list(module), [after], first)
            skip_entry, up_entry = halves(stage.entry, first)
            self.entries.insert(0, skip_entry)
            self.ups.append(target.prepare([layer.weight], [_RAW, up_entry], layer.bias))
            self.blocks.append(stage)

    def run(self, levels: Sequence[tuple[SparseTensor, Tensor]]) -> Tensor:
        """Features at full resolution from (raw, normalised for this decoder) of every level, finest first."""
        x = levels[-1][1]
        stages = zip(self.layers, self.ups, self.blocks, levels[-2::-1], strict=True)
        for layer, up, blocks, (skip, skip_normalised) in stages:
            up_map = skip.plan.strided_map(skip.stride, layer.kernel_size, layer.step).transposed
            raw, normalised = up([x], [up_map], len(skip))
            (x,) = blocks.run(skip, [skip.feats, raw], [skip_normalised, normalised])
        if self.out is None:
            return x
        plan, step = levels[0][0].plan, self.out.step
        fine = tuple(have // many for have, many in zip(levels[0][0].stride, step, strict=True))
        (x,) = self.to_fine([x], [plan.strided_map(fine, self.out.kernel_size, step).transposed], len(plan.level(fine)))
        return x


class FusedEncoder:
    """The encoder of a UResNet, writing for the given decoders."""

    def __init__(
        self,
        target: Target,
        stem: SubmanifoldConv | StridedConv,
        blocks: Sequence[nn.Module],
        down: Sequence[nn.Module],
        decoders: Sequence[FusedDecoder],
    ) -> None:
        self.num_decoders = len(decoders)
        layers = [part(module, 1) for module in down]
        self.layers: list[StridedConv] = [layer for layer in layers if isinstance(layer, StridedConv)]
        self.blocks = []
        for level, module in enumerate(blocks):
            assert isinstance(module, nn.Sequential)
            exits = [_RAW, *(decoder.entries[level] for decoder in decoders)]
            if level < len(down):
                exits.append(folded(part(down[level], 0)))
            self.blocks.append(_FusedBlocks(target, list(module), exits))
        self.stem_kernel = stem.kernel_size
        self.stem_step = stem.step if isinstance(stem, StridedConv) else None
        self.stem = target.prepare([stem.weight], [_RAW, self.blocks[0].entry], stem.bias)
        self.downs = [
            target.prepare([layer.weight], [_RAW, stage.entry], layer.bias)
            for layer, stage in zip(self.layers, self.blocks[1:], strict=True)
        ]

    def run(self, x: SparseTensor) -> list[tuple[SparseTensor, list[Tensor]]]:
        """For every level, finest first: the raw features, and those normalised for each decoder."""
        plan, stride, levels = x.plan, x.stride, []
        if self.stem_step is None:
            stem_map = plan.submanifold_map(stride, self.stem_kernel)
        else:
            stem_map = plan.strided_map(stride, self.stem_kernel, self.stem_step)
            stride = plan.coarser(stride, self.stem_step).stride
        raw, normalised = self.stem([x.feats], [stem_map], stem_map.num_out)
        for number, blocks in enumerate(self.blocks):
            here = SparseTensor(raw, plan, stride)
            raw, *results = blocks.run(here, [raw], [normalised])
            levels.append((here.replace(raw), results[: self.num_decoders]))
            if number == len(self.layers):
                break
            layer = self.layers[number]
            down_map = plan.strided_map(stride, layer.kernel_size, layer.step)
            stride = plan.coarser(stride, layer.step).stride
            raw, normalised = self.downs[number]([results[-1]], [down_map], down_map.num_out)
        return levels
