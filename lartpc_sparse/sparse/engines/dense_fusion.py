"""Inference with dense convolutions: norms folded into weights or one pass, activations in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.dense_map import DenseMap
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["DenseConvolution"]

_REFERENCE = TorchEngine()


class DenseConvolution:
    """`FusedConvolution` of the dense engine; sums in the format of the weights.

    The scale and shift of the last epilogue go into the weights when it is the only one.
    """

    def __init__(
        self, weights: Sequence[Tensor], epilogues: Sequence[Epilogue], bias: Tensor | None, dtype: torch.dtype
    ) -> None:
        single = epilogues[0] if len(epilogues) == 1 and epilogues[0].scale is not None else None
        self._scale = None if single is None or single.scale is None else single.scale.to(dtype)
        scale: Tensor | float = 1.0 if self._scale is None else self._scale
        self._weights = [(weight * scale).to(dtype) for weight in weights]
        self._bias = None if bias is None else (bias * scale).to(dtype)
        if single is not None and single.shift is not None:
            shift = single.shift.to(dtype)
            self._bias = shift if self._bias is None else self._bias + shift
        self._epilogues = [
            Epilogue(
                None if single is not None or one.scale is None else one.scale.to(dtype),
                None if single is not None or one.shift is None else one.shift.to(dtype),
                one.activation,
                one.slope,
            )
            for one in epilogues
        ]

    def __call__(
        self,
        inputs: Sequence[Float[Tensor, "_ _"]],
        maps: Sequence[KernelMap | None],
        num_out: int,
        residual: Float[Tensor, "num_out C_out"] | None = None,
    ) -> list[Tensor]:
        """See `FusedConvolution`."""
        total: Tensor | None = None
        for number, (feats, weight, kernel_map) in enumerate(zip(inputs, self._weights, maps, strict=True)):
            bias = self._bias if number == 0 else None
            part = _part(feats, weight, kernel_map, bias)
            total = part if total is None else total.add_(part)
        assert total is not None
        assert len(total) == num_out
        if residual is not None:
            total = total.add_(residual if self._scale is None else residual * self._scale)
        return [_apply(total, one, last=one is self._epilogues[-1]) for one in self._epilogues]


def _part(feats: Tensor, weight: Tensor, kernel_map: KernelMap | None, bias: Tensor | None) -> Tensor:
    if kernel_map is None:
        return F.linear(feats, weight.T, bias)
    if isinstance(kernel_map, DenseMap):
        return kernel_map.apply(feats, weight, bias)
    found = _REFERENCE.convolve(feats, weight, kernel_map)
    return found if bias is None else found + bias


def _apply(total: Tensor, epilogue: Epilogue, *, last: bool) -> Tensor:
    """One result; only the last one may use the memory of the sum."""
    result = total
    if epilogue.scale is not None and epilogue.shift is not None:
        result = torch.addcmul(epilogue.shift, total, epilogue.scale)
    if epilogue.activation is None:
        return result
    fresh = result is not total or last
    if epilogue.activation == "leaky_relu":
        return F.leaky_relu(result, epilogue.slope, inplace=fresh)
    return F.elu(result, inplace=fresh) if epilogue.activation == "elu" else F.gelu(result)
