"""Inference of a UResNet with fused convolutions: no norm, activation, sum or concatenation is a pass of its own.

Every convolution writes what its consumers read: the raw sum where a residual or a skip needs it, and one copy for
each consumer with the consumer's batch norm and activation applied. A concatenation is a convolution of two
inputs, and the 1 x 1 shortcut behind it is a further summand of the block's second convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lartpc_sparse.backbone.blocks import Block, ResidualBlock
from lartpc_sparse.sparse import (
    BatchNorm,
    Engine,
    FeatureLayer,
    KernelMap,
    PointwiseConv,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)
from lartpc_sparse.sparse.fusion import Epilogue, FusingEngine, Term, is_fusing

__all__ = ["FusedDecoder", "FusedEncoder", "can_fuse"]

_RAW = Epilogue()


def can_fuse(network: nn.Module, engine: Engine, feats: Tensor) -> bool:
    """Whether `network` may run fused on an engine: in inference, with norms that fold and activations it knows."""
    if torch.is_grad_enabled() or network.training or not is_fusing(engine):
        return False
    if feats.dtype not in (torch.float32, torch.bfloat16):
        return False
    return all(
        isinstance(layer.module, nn.Identity) or _activation(layer.module) is not None
        for layer in network.modules()
        if isinstance(layer, FeatureLayer)
    )


def _activation(module: nn.Module) -> Epilogue | None:
    if isinstance(module, nn.ReLU):
        return Epilogue(activation="leaky_relu")
    if isinstance(module, nn.LeakyReLU):
        return Epilogue(activation="leaky_relu", slope=module.negative_slope)
    if isinstance(module, nn.ELU) and module.alpha == 1.0:
        return Epilogue(activation="elu")
    if isinstance(module, nn.GELU) and module.approximate == "none":
        return Epilogue(activation="gelu")
    return None


def _folded(norm_activation: nn.Module) -> Epilogue:
    """A `BlockStyle.norm_activation` as an epilogue: running statistics folded into scale and shift."""
    assert isinstance(norm_activation, nn.Sequential)
    norm, layer = norm_activation
    assert isinstance(layer, FeatureLayer)
    epilogue = _activation(layer.module)
    assert epilogue is not None
    if not isinstance(norm, BatchNorm):
        return epilogue
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return replace(epilogue, scale=scale, shift=norm.bias - norm.running_mean * scale)


def _halves(epilogue: Epilogue, first: int) -> tuple[Epilogue, Epilogue]:
    """The epilogue of concatenated features as the epilogues of the two parts."""
    if epilogue.scale is None or epilogue.shift is None:
        return epilogue, epilogue
    return (
        replace(epilogue, scale=epilogue.scale[:first].contiguous(), shift=epilogue.shift[:first].contiguous()),
        replace(epilogue, scale=epilogue.scale[first:].contiguous(), shift=epilogue.shift[first:].contiguous()),
    )


@dataclass(frozen=True)
class _Convolution:
    """A convolution layer, with its weight cut where its input is concatenated."""

    weights: tuple[Tensor, ...]
    bias: Tensor | None

    @classmethod
    def of(cls, layer: nn.Module, first: int | None = None) -> _Convolution:
        assert isinstance(layer, SubmanifoldConv | StridedConv | TransposedConv | PointwiseConv)
        weight = layer.weight.detach()
        parts = (weight,) if first is None else (weight[..., :first, :], weight[..., first:, :])
        return cls(parts, None if layer.bias is None else layer.bias.detach())

    def terms(self, inputs: Sequence[Tensor], kernel_map: KernelMap | None) -> list[Term]:
        return [Term(feats, weight, kernel_map) for feats, weight in zip(inputs, self.weights, strict=True)]


class _FusedBlock:
    """A block whose input arrives as (raw, normalised) for each part of a concatenation."""

    def __init__(self, block: Block, first: int | None = None) -> None:
        self.entry, conv1, self.middle, conv2 = block.path
        assert isinstance(conv1, SubmanifoldConv)
        self.kernel_size = conv1.kernel_size
        self.first = first
        self.conv1, self.conv2 = _Convolution.of(conv1, first), _Convolution.of(conv2)
        self.residual = isinstance(block, ResidualBlock)
        self.shortcut = None
        if isinstance(block, ResidualBlock) and isinstance(block.shortcut, PointwiseConv):
            self.shortcut = _Convolution.of(block.shortcut, first)

    def epilogue(self) -> Epilogue:
        """What the producer of the input has to apply for this block."""
        return _folded(self.entry)

    def halves(self) -> tuple[Epilogue, Epilogue]:
        """The same for a concatenated input, part by part."""
        assert self.first is not None
        return _halves(self.epilogue(), self.first)

    def run(
        self,
        engine: FusingEngine,
        kernel_map: KernelMap,
        raw: Sequence[Tensor],
        normalised: Sequence[Tensor],
        epilogues: Sequence[Epilogue],
    ) -> list[Tensor]:
        rows = kernel_map.num_out
        terms = self.conv1.terms(normalised, kernel_map)
        middle = engine.fused(terms, rows, [_folded(self.middle)], bias=self.conv1.bias)
        terms = self.conv2.terms(middle, kernel_map)
        residual = None
        if self.shortcut is not None:
            terms += self.shortcut.terms(raw, None)
        elif self.residual:
            (residual,) = raw
        return engine.fused(terms, rows, epilogues, bias=self.conv2.bias, residual=residual)


def _run_blocks(
    engine: FusingEngine,
    blocks: Sequence[_FusedBlock],
    kernel_map: KernelMap,
    raw: Sequence[Tensor],
    normalised: Sequence[Tensor],
    epilogues: Sequence[Epilogue],
) -> list[Tensor]:
    """Blocks one after the other; `epilogues` are those of the last one."""
    for block, following in zip(blocks[:-1], blocks[1:], strict=True):
        raw_out, normalised_out = block.run(engine, kernel_map, raw, normalised, [_RAW, following.epilogue()])
        raw, normalised = [raw_out], [normalised_out]
    return blocks[-1].run(engine, kernel_map, raw, normalised, epilogues)


class FusedDecoder:
    """A decoder of a UResNet; `epilogue(n)` is what the encoder's level n (finest 0) has to apply for it."""

    def __init__(self, up: Sequence[nn.Module], blocks: Sequence[nn.Module], final: nn.Module) -> None:
        self.norms = [_part(module, 0) for module in up]
        layers = [_part(module, 1) for module in up]
        self.layers: list[TransposedConv] = [layer for layer in layers if isinstance(layer, TransposedConv)]
        self.ups = [_Convolution.of(layer) for layer in self.layers]
        self.blocks = []
        for module in blocks:
            assert isinstance(module, nn.Sequential)
            first, *others = module
            self.blocks.append([_FusedBlock(first, first.path[1].weight.shape[2]), *map(_FusedBlock, others)])
        self.final = final

    def epilogue(self, level: int) -> Epilogue:
        """Folded norm and activation of this decoder's consumer of an encoder level."""
        if level == len(self.ups):
            return _folded(self.norms[0] if self.norms else self.final)
        return self.blocks[len(self.ups) - 1 - level][0].halves()[0]

    def run(self, engine: FusingEngine, levels: Sequence[tuple[SparseTensor, Tensor]]) -> Tensor:
        """Features at full resolution from (raw, normalised for this decoder) of every level, finest first."""
        x = levels[-1][1]
        stages = zip(self.layers, self.ups, self.blocks, levels[-2::-1], strict=True)
        for number, (layer, up, blocks, (skip, skip_normalised)) in enumerate(stages):
            plan, stride = skip.plan, skip.stride
            up_map = plan.strided_map(stride, layer.kernel_size, layer.step).transposed
            raw, normalised = engine.fused(
                up.terms([x], up_map), len(skip), [_RAW, blocks[0].halves()[1]], bias=up.bias
            )
            last = number == len(self.ups) - 1
            after = _folded(self.final if last else self.norms[number + 1])
            kernel_map = plan.submanifold_map(stride, blocks[0].kernel_size)
            (x,) = _run_blocks(engine, blocks, kernel_map, [skip.feats, raw], [skip_normalised, normalised], [after])
        return x


class FusedEncoder:
    """The encoder of a UResNet."""

    def __init__(self, stem: SubmanifoldConv, blocks: Sequence[nn.Module], down: Sequence[nn.Module]) -> None:
        self.stem_layer, self.stem = stem, _Convolution.of(stem)
        self.blocks = [[_FusedBlock(block) for block in level] for level in blocks]  # type: ignore[attr-defined]
        self.norms = [_part(module, 0) for module in down]
        layers = [_part(module, 1) for module in down]
        self.layers = [layer for layer in layers if isinstance(layer, StridedConv)]
        self.downs = [_Convolution.of(layer) for layer in self.layers]

    def run(
        self, engine: FusingEngine, x: SparseTensor, decoders: Sequence[FusedDecoder]
    ) -> list[tuple[SparseTensor, list[Tensor]]]:
        """For every level, finest first: the raw features, and those normalised for each decoder."""
        plan, levels = x.plan, []
        entry = [_RAW, self.blocks[0][0].epilogue()]
        stem_map = plan.submanifold_map(x.stride, self.stem_layer.kernel_size)
        raw, normalised = engine.fused(self.stem.terms([x.feats], stem_map), len(x), entry, bias=self.stem.bias)
        stride = x.stride
        for number, blocks in enumerate(self.blocks):
            deepest = number == len(self.blocks) - 1
            epilogues = [_RAW, *(decoder.epilogue(number) for decoder in decoders)]
            if not deepest:
                epilogues.append(_folded(self.norms[number]))
            kernel_map = plan.submanifold_map(stride, blocks[0].kernel_size)
            raw, *results = _run_blocks(engine, blocks, kernel_map, [raw], [normalised], epilogues)
            levels.append((SparseTensor(raw, plan, stride), results[: len(decoders)]))
            if deepest:
                break
            layer, down = self.layers[number], self.downs[number]
            down_map = plan.strided_map(stride, layer.kernel_size, layer.step)
            stride = plan.coarser(stride, layer.step).stride
            entry = [_RAW, self.blocks[number + 1][0].epilogue()]
            raw, normalised = engine.fused(down.terms([results[-1]], down_map), down_map.num_out, entry, bias=down.bias)
        return levels


def _part(sequential: nn.Module, number: int) -> nn.Module:
    assert isinstance(sequential, nn.Sequential)
    return sequential[number]
