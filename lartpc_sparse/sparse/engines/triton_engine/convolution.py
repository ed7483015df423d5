"""The convolution of the Triton engine and its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lartpc_sparse.sparse.engines.triton_engine.gather_table import GatherTable, gradient_table
from lartpc_sparse.sparse.engines.triton_engine.launch import gather_gemm, weight_gradient
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["TritonPasses"]


@dataclass(frozen=True)
class TritonPasses:
    """`ConvolutionPasses` on a GPU.

    Attributes:
        precision: of products of float32: "ieee" or "tf32".
        tuner: chooses the tiles.
    """

    precision: str
    tuner: Tuner

    def forward(self, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        """See `ConvolutionPasses.forward`."""
        if _is_empty(kernel_map):
            return feats.new_zeros((kernel_map.num_out, weight.shape[2]))
        out = gather_gemm(
            feats.contiguous(),
            weight,
            GatherTable.of(kernel_map),
            kernel_map.num_out,
            mirrored=False,
            name="forward",
            precision=self.precision,
            tuner=self.tuner,
        )
        return out.to(feats.dtype)

    def data_gradient(self, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        """The forward kernel on the map read backwards, with the transposed weight."""
        if _is_empty(kernel_map):
            return grad.new_zeros((kernel_map.num_in, weight.shape[1]))
        table, mirrored = gradient_table(kernel_map)
        grad_feats = gather_gemm(
            grad.contiguous(),
            weight.transpose(1, 2),
            table,
            kernel_map.num_in,
            mirrored=mirrored,
            name="data gradient",
            precision=self.precision,
            tuner=self.tuner,
        )
        return grad_feats.to(grad.dtype)

    def weight_gradient(self, feats: Tensor, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        """See `ConvolutionPasses.weight_gradient`."""
        if _is_empty(kernel_map):
            return torch.zeros_like(weight)
        found = weight_gradient(
            feats.contiguous(), grad.contiguous(), kernel_map, precision=self.precision, tuner=self.tuner
        )
        return found.to(weight.dtype)


def _is_empty(kernel_map: KernelMap) -> bool:
    # A grid of no programs cannot be launched.
    return len(kernel_map.in_index) == 0
