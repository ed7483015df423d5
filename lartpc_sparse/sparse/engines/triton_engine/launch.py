"""Runs the kernels on tensors: output buffers, grids, and the choice of tiles. Needs Triton."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.triton_engine import kernels
from lartpc_sparse.sparse.engines.triton_engine.availability import interpreting
from lartpc_sparse.sparse.engines.triton_engine.gather_table import GatherTable
from lartpc_sparse.sparse.engines.triton_engine.pair_chunks import PairChunking, chunk_size
from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig, TileProblem
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["gather_gemm", "weight_gradient"]

_SUM_BLOCK = 128


def gather_gemm(
    feats: Float[Tensor, "num_in C_in"],
    weight: Float[Tensor, "K C_in C_out"],
    table: GatherTable,
    num_out: int,
    *,
    mirrored: bool,
    name: str,
    precision: str,
    tuner: Tuner,
) -> Float[Tensor, "num_out C_out"]:
    """out[q] = sum over slots k of feats[in_row[k, q]] @ weight[k]; weight[K - 1 - k] when `mirrored`.

    `feats` is contiguous, the weight need not be.
    """
    feats, weight = _interpretable(feats), _interpretable(weight)
    volume, c_in, c_out = weight.shape
    out = feats.new_empty((num_out, c_out))

    def run(config: TileConfig) -> None:
        tiles = table.tiles(config.block_m)
        grid = (len(tiles) * -(-c_out // config.block_n),)
        _decorated(kernels.gather_gemm, interpreting())[grid](
            feats,
            weight,
            out,
            table.in_row,
            table.out_row,
            tiles.tile,
            tiles.slots,
            tiles.count,
            volume,
            table.in_row.shape[1],
            c_in,
            c_out,
            *weight.stride(),
            REVERSED=mirrored,
            PRECISION=precision,
            SUM=_sum_type(feats.dtype),
            BLOCKS_K=-(-c_in // config.block_k),
            **_blocks(config),
        )

    problem = TileProblem(name, num_out, c_in, c_out, volume, feats.dtype, precision)
    with torch.cuda.device_of(feats):  # type: ignore[no-untyped-call]
        run(tuner.choose(problem, feats.device, run))
    return out


def weight_gradient(
    feats: Float[Tensor, "num_in C_in"],
    grad: Float[Tensor, "num_out C_out"],
    kernel_map: KernelMap,
    *,
    precision: str,
    tuner: Tuner,
) -> Float[Tensor, "K C_in C_out"]:
    """grad_weight[k] = sum over the pairs (p, q) of slot k of feats[p]^T grad[q].

    Each chunk of pairs is summed by one program into a buffer of its own, then the chunks of a slot one after the
    other: no atomics, so that the sum does not depend on the order in which programs run.
    """
    feats, grad = _interpretable(feats), _interpretable(grad)
    c_in, c_out, volume = feats.shape[1], grad.shape[1], kernel_map.kernel_volume
    pairs = len(kernel_map.in_index)
    # The cut does not depend on the tiles: tuning must not change how much memory the sums take.
    chunks = PairChunking.of(kernel_map).chunks(chunk_size(pairs, -(-c_in // 32) * -(-c_out // 32)))
    sums = torch.float64 if feats.dtype == torch.float64 else torch.float32
    partial = feats.new_empty((len(chunks), c_in, c_out), dtype=sums)

    def run(config: TileConfig) -> None:
        grid = (len(chunks) * -(-c_in // config.block_m) * -(-c_out // config.block_n),)
        _decorated(kernels.pair_outer_products, interpreting())[grid](
            feats,
            grad,
            partial,
            kernel_map.in_index,
            kernel_map.out_index,
            chunks.start,
            chunks.stop,
            c_in,
            c_out,
            PRECISION=precision,
            SUM=_sum_type(feats.dtype),
            **_blocks(config),
        )

    total = feats.new_empty((volume, c_in, c_out))
    problem = TileProblem("weight gradient", pairs, c_in, c_out, volume, feats.dtype, precision)
    with torch.cuda.device_of(feats):  # type: ignore[no-untyped-call]
        run(tuner.choose(problem, feats.device, run))
        grid = (volume, -(-c_in * c_out // _SUM_BLOCK))
        _decorated(kernels.sum_chunks, interpreting())[grid](
            partial, total, chunks.of_slot, c_in * c_out, SUM=_sum_type(feats.dtype), BLOCK=_SUM_BLOCK
        )
    return total


@functools.cache
def _decorated(kernel: Callable[..., None], interpreted: bool) -> Any:
    """The kernel as Triton runs it; `triton.jit` looks at TRITON_INTERPRET itself, here once for either value."""
    decorated = triton.jit(kernel)
    if interpreted == isinstance(decorated, triton.JITFunction):
        raise RuntimeError("Triton and this engine read TRITON_INTERPRET differently; set it to 1 or not at all")
    return decorated


def _interpretable(values: Tensor) -> Tensor:
    """Values as the interpreter can multiply them: it takes bfloat16 for whole numbers. Widening is exact."""
    return values.float() if interpreting() and values.dtype == torch.bfloat16 else values


def _sum_type(dtype: torch.dtype) -> Any:
    return tl.float64 if dtype == torch.float64 else tl.float32


def _blocks(config: TileConfig) -> dict[str, int]:
    return {
        "BLOCK_M": config.block_m,
        "BLOCK_N": config.block_n,
        "BLOCK_K": config.block_k,
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
    }
