"""Kernels in 12 bits a weight: whole numbers with one scale an output channel, two of them in three bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

__all__ = ["pack", "unpack"]

_LARGEST = 2047
"""The numbers run from -2047 to 2047; the error of a weight is at most 1/4094 of the largest of its channel."""


def pack(weight: Float32[Tensor, "*K C"]) -> tuple[UInt8[Tensor, " B"], Float32[Tensor, " C"]]:
    """The numbers, and the scale of each entry of the last axis.

    Args:
        weight: finite, at least one axis.
    """
    flat = weight.reshape(math.prod(weight.shape[:-1]), weight.shape[-1])
    scale = flat.abs().amax(0) / _LARGEST if len(flat) else flat.new_zeros(flat.shape[1])
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    numbers = (flat / safe).round().to(torch.int32).reshape(-1) + 2048
    if len(numbers) % 2:
        numbers = torch.cat([numbers, numbers.new_full((1,), 2048)])
    one, other = numbers[::2], numbers[1::2]
    packed = torch.stack([one >> 4, ((one & 15) << 4) | (other >> 8), other & 255], dim=1)
    return packed.to(torch.uint8).reshape(-1).contiguous(), scale.contiguous()


def unpack(packed: UInt8[Tensor, " B"], scale: Float32[Tensor, " C"], shape: Sequence[int]) -> Float32[Tensor, "*K C"]:
    """What `pack` was given, rounded.

    Args:
        packed: from `pack`.
        scale: from `pack`.
        shape: of the weight.

    Raises:
        ValueError: the numbers are not as many as the shape says.
    """
    count = math.prod(shape)
    if len(packed) != 3 * ((count + 1) // 2) or scale.shape != (shape[-1],):
        raise ValueError(f"{len(packed)} bytes and {len(scale)} scales do not make a weight of shape {tuple(shape)}")
    first, middle, last = packed.reshape(-1, 3).to(torch.int32).unbind(1)
    one, other = (first << 4) | (middle >> 4), ((middle & 15) << 8) | last
    numbers = torch.stack([one, other], dim=1).reshape(-1)[:count] - 2048
    return numbers.to(torch.float32).reshape(tuple(shape)) * scale
