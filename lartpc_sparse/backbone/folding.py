"""Norms and activations of a network as epilogues of the convolutions before them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from lartpc_sparse.backbone.attention import AttentionGate, Cbam
from lartpc_sparse.sparse import BatchNorm, FeatureLayer
from lartpc_sparse.sparse.depthwise import DepthwiseConv
from lartpc_sparse.sparse.fusion import Epilogue

__all__ = ["can_fold", "folded", "halves", "part"]


def can_fold(network: nn.Module) -> bool:
    """Whether all norms and activations of a network can be epilogues."""
    if any(isinstance(module, Cbam | AttentionGate | DepthwiseConv) for module in network.modules()):
        return False
    layers = [layer.module for layer in network.modules() if isinstance(layer, FeatureLayer)]
    return all(isinstance(module, nn.Identity) or _activation(module) is not None for module in layers)


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


def folded(norm_activation: nn.Module) -> Epilogue:
    """A `BlockStyle.norm_activation` as an epilogue: running statistics folded into scale and shift."""
    norm, layer = part(norm_activation, 0), part(norm_activation, 1)
    assert isinstance(layer, FeatureLayer)
    epilogue = _activation(layer.module)
    assert epilogue is not None
    if not isinstance(norm, BatchNorm):
        return epilogue
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.weight * torch.rsqrt(norm.running_var + norm.eps)).detach()
    return replace(epilogue, scale=scale, shift=(norm.bias - norm.running_mean * scale).detach())


def halves(epilogue: Epilogue, first: int) -> tuple[Epilogue, Epilogue]:
    """The epilogue of concatenated features as the epilogues of the two parts."""
    if epilogue.scale is None or epilogue.shift is None:
        return epilogue, epilogue
    scale, shift = epilogue.scale, epilogue.shift
    return replace(epilogue, scale=scale[:first], shift=shift[:first]), replace(
        epilogue, scale=scale[first:], shift=shift[first:]
    )


def part(sequential: nn.Module, number: int) -> nn.Module:
    """A layer of a sequence."""
    assert isinstance(sequential, nn.Sequential)
    return sequential[number]
