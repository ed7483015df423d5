"""The Triton kernels. Only `launch.py` and the ahead-of-time tests import this file: it needs Triton.

They stay undecorated here, because Triton decides when it decorates whether to compile or to interpret.
`no_type_check` keeps run-time type checkers from wrapping them: Triton reads their source and their globals.
Only built-ins of the language are used; its library functions (`tl.zeros`, `tl.cdiv`) cannot be interpreted when
Triton was imported before it was told to interpret.
"""

# ruff: noqa: PLR0917 - a kernel takes pointers and sizes one by one
from __future__ import annotations

from typing import no_type_check

import triton.language as tl

__all__ = ["gather_gemm", "pair_outer_products", "sum_chunks"]


@no_type_check
def gather_gemm(
    feats,  # (num_in, c_in), contiguous
    weight,  # (K, c_in, c_out), any strides
    out,  # (num_out, c_out), contiguous
    in_row,  # (K, padded) int32, -1: none
    out_row,  # (padded,) int32, -1: padding
    tile,  # TileSlots
    tile_slots,
    tile_count,
    kernel_volume,
    padded,
    c_in,
    c_out,
    weight_stride_slot,
    weight_stride_in,
    weight_stride_out,
    REVERSED: tl.constexpr,  # slot k uses weight K - 1 - k
    PRECISION: tl.constexpr,
    SUM: tl.constexpr,  # number format of the sum
    BLOCK_M: tl.constexpr,  # output rows
    BLOCK_N: tl.constexpr,  # output channels
    BLOCK_K: tl.constexpr,  # input channels
    BLOCKS_K: tl.constexpr,  # blocks of input channels; known when compiling, so that steps divide by a constant
):
    """out[q] = sum over slots k of feats[in_row[k, q]] @ weight[k], for one tile of output rows and channels."""
    program = tl.program_id(0)
    blocks_n = (c_out + BLOCK_N - 1) // BLOCK_N
    # Programs of the same rows are neighbours: what one gathers, the next finds in the L2 cache.
    turn = program // blocks_n
    column = tl.load(tile + turn) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = (program % blocks_n) * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    total = tl.full((BLOCK_M, BLOCK_N), 0, SUM)
    # Slots and blocks of input channels are one loop: Triton overlaps loads and products only in the innermost.
    for step in range(tl.load(tile_count + turn) * BLOCKS_K):
        slot = tl.load(tile_slots + turn * kernel_volume + step // BLOCKS_K).to(tl.int64)
        c = (step % BLOCKS_K) * BLOCK_K + k
        # Rows x channels of a large batch, and slots x rows, are beyond int32; what is left fits and saves registers.
        row = tl.load((in_row + slot * padded) + column).to(tl.int64)
        a = tl.load(feats + row[:, None] * c_in + c[None, :], mask=(row[:, None] >= 0) & (c[None, :] < c_in), other=0.0)
        used = kernel_volume - 1 - slot if REVERSED else slot
        b = tl.load(
            (weight + used * weight_stride_slot) + (c[:, None] * weight_stride_in + n[None, :] * weight_stride_out),
            mask=(c[:, None] < c_in) & (n[None, :] < c_out),
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision=PRECISION, out_dtype=SUM)
    row = tl.load(out_row + column).to(tl.int64)
    tl.store(
        out + row[:, None] * c_out + n[None, :],
        total.to(out.dtype.element_ty),
        mask=(row[:, None] >= 0) & (n[None, :] < c_out),
    )


@no_type_check
def pair_outer_products(
    feats,  # (num_in, c_in), contiguous
    grad,  # (num_out, c_out), contiguous
    partial,  # (chunks, c_in, c_out), contiguous
    in_index,  # (pairs,) int64
    out_index,
    chunk_start,  # (chunks,) int64
    chunk_stop,
    c_in,
    c_out,
    PRECISION: tl.constexpr,
    SUM: tl.constexpr,
    BLOCK_M: tl.constexpr,  # input channels
    BLOCK_N: tl.constexpr,  # output channels
    BLOCK_K: tl.constexpr,  # pairs
):
    """partial[chunk] = sum over the pairs (p, q) of the chunk of feats[p]^T grad[q], for one tile of the channels."""
    program = tl.program_id(0)
    blocks_n = (c_out + BLOCK_N - 1) // BLOCK_N
    blocks = (c_in + BLOCK_M - 1) // BLOCK_M * blocks_n
    chunk = (program // blocks).to(tl.int64)
    block = program % blocks
    m = (block // blocks_n) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = (block % blocks_n) * BLOCK_N + tl.arange(0, BLOCK_N)
    start = tl.load(chunk_start + chunk)
    size = (tl.load(chunk_stop + chunk) - start).to(tl.int32)
    total = tl.full((BLOCK_M, BLOCK_N), 0, SUM)
    for first in range(0, size, BLOCK_K):
        pair = first + tl.arange(0, BLOCK_K)
        live = pair < size
        p = tl.load((in_index + start) + pair, mask=live, other=0)
        q = tl.load((out_index + start) + pair, mask=live, other=0)
        a = tl.load(feats + p[:, None] * c_in + m[None, :], mask=live[:, None] & (m[None, :] < c_in), other=0.0)
        b = tl.load(grad + q[:, None] * c_out + n[None, :], mask=live[:, None] & (n[None, :] < c_out), other=0.0)
        total = tl.dot(tl.trans(a), b, total, input_precision=PRECISION, out_dtype=SUM)
    tl.store(
        (partial + chunk * c_in * c_out) + (m[:, None] * c_out + n[None, :]),
        total,
        mask=(m[:, None] < c_in) & (n[None, :] < c_out),
    )


@no_type_check
def sum_chunks(
    partial,  # (chunks, size)
    total,  # (K, size)
    of_slot,  # (K + 1,) int64
    size,
    SUM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """total[k] = sum over the chunks of slot k, one after the other; 0 for a slot without pairs."""
    slot = tl.program_id(0).to(tl.int64)
    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    live = element < size
    value = tl.full((BLOCK,), 0, SUM)
    for chunk in range(tl.load(of_slot + slot), tl.load(of_slot + slot + 1)):
        value += tl.load(partial + chunk * size + element, mask=live, other=0.0)
    tl.store(total + slot * size + element, value.to(total.dtype.element_ty), mask=live)
