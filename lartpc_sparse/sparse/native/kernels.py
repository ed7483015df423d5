"""Calls of the compiled convolution kernels on tensors."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from lartpc_sparse.sparse.fusion import Epilogue, Term
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.native.handles import BlockedMap, BlockedMapHandle
from lartpc_sparse.sparse.native.library import OutputRecord, TermRecord, library

__all__ = ["convolve", "pack_weight", "transpose_weight", "weight_gradient"]

_DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}
_ACTIVATIONS = {None: 0, "leaky_relu": 1, "elu": 2, "gelu": 3}


_PACKED: MutableMapping[Tensor, tuple[tuple[int, int], Tensor]] = WeakTensorKeyDictionary()


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"CPU engine: {library().error}")


def _rows(feats: Tensor) -> Tensor:
    """The features with every row in one piece of memory."""
    return feats if feats.stride(1) == 1 and feats.stride(0) >= feats.shape[1] else feats.contiguous()


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _native(kernel_map: KernelMap) -> tuple[BlockedMapHandle, bool]:
    if isinstance(kernel_map, BlockedMap):
        return kernel_map.handle, kernel_map.reversed
    return kernel_map.derived("cpu", BlockedMapHandle.from_pairs), False


def _computed_in(dtype: torch.dtype) -> torch.dtype:
    # Half precision has no kernel of its own: it is computed in float32 and rounded at the end.
    return dtype if dtype in _DTYPES else torch.float32


def convolve(
    terms: Sequence[Term],
    num_out: int,
    epilogues: Sequence[Epilogue],
    *,
    bias: Float[Tensor, " C_out"] | None = None,
    residual: Float[Tensor, "num_out C_out"] | None = None,
) -> list[Tensor]:
    """sum = sum of the terms + bias + residual; one (num_out, C_out) tensor for every epilogue.

    All maps must lead to the same voxels.

    Raises:
        RuntimeError: the maps do not fit together.
    """
    asked = terms[0].feats.dtype
    dtype = _computed_in(asked)
    c_out = terms[0].weight.shape[-1]
    alive: list[object] = []  # what the library reads must outlive the call
    records = []
    for term in terms:
        feats = _rows(term.feats.to(dtype))
        c_in = feats.shape[1]
        if dtype == torch.bfloat16:
            weight = packed_weight(term.weight)
            w_row = weight.shape[2]
            w_slot = weight.shape[1] * w_row
        else:
            weight = term.weight.to(dtype)
            if weight.stride(-1) != 1:
                weight = weight.contiguous()
            w_row = weight.stride(-2)
            w_slot = weight.stride(0) if weight.ndim == 3 else 0
        handle, is_reversed = (None, False) if term.kernel_map is None else _native(term.kernel_map)
        alive += [feats, weight, handle]
        pointer = None if handle is None else handle.pointer
        records.append(
            TermRecord(
                feats.data_ptr(), feats.stride(0), c_in, weight.data_ptr(), w_slot, w_row, pointer, is_reversed
            )
        )
    results, outputs = [], []
    for epilogue in epilogues:
        result = torch.empty((num_out, c_out), dtype=dtype)
        results.append(result)
        outputs.append(
            OutputRecord(
                result.data_ptr(),
                c_out,
                _address(epilogue.scale),
                _address(epilogue.shift),
                _ACTIVATIONS[epilogue.activation],
                epilogue.slope,
            )
        )
    if bias is not None:
        bias = bias.to(torch.float32).contiguous()
    residual = None if residual is None else _rows(residual.to(dtype))
    if num_out and c_out:
        _check(
            library().convolve(
                _DTYPES[dtype],
                (TermRecord * len(records))(*records),
                len(records),
                num_out,
                c_out,
                _address(bias),
                _address(residual),
                0 if residual is None else residual.stride(0),
                (OutputRecord * len(outputs))(*outputs),
                len(outputs),
                torch.get_num_threads(),
            )
        )
    del alive
    return results if dtype == asked else [result.to(asked) for result in results]


def weight_gradient(
    feats: Float[Tensor, "num_in C_in"], grad: Float[Tensor, "num_out C_out"], kernel_map: KernelMap
) -> Float[Tensor, "K C_in C_out"]:
    """Sum over the pairs (p, q) of each slot of feats[p]^T grad[q], in the format of the features."""
    dtype = torch.float64 if feats.dtype == torch.float64 else torch.float32
    x, g = _rows(feats.to(dtype)), _rows(grad.to(dtype))
    volume = kernel_map.kernel_volume
    result = torch.zeros((volume, x.shape[1], g.shape[1]), dtype=dtype)
    handle, is_reversed = _native(kernel_map)
    if result.numel() and kernel_map.num_out:
        _check(
            library().weight_gradient(
                _DTYPES[dtype],
                x.data_ptr(),
                x.stride(0),
                x.shape[1],
                g.data_ptr(),
                g.stride(0),
                g.shape[1],
                handle.pointer,
                result.data_ptr(),
                torch.get_num_threads(),
            )
        )
    return (result.flip(0) if is_reversed else result).to(feats.dtype)


def transpose_weight(weight: Float[Tensor, "K C_in C_out"]) -> Float[Tensor, "K C_out C_in"]:
    """The weight of the gradient with respect to the features."""
    if weight.dtype not in (torch.float32, torch.float64):
        return weight.transpose(1, 2).contiguous()
    weight = weight.contiguous()
    slots, rows, columns = weight.shape
    out = weight.new_empty((slots, columns, rows))
    _check(
        library().transpose_weight(
            _DTYPES[weight.dtype], weight.data_ptr(), slots, rows, columns, out.data_ptr(), torch.get_num_threads()
        )
    )
    return out


def packed_weight(weight: Float[Tensor, "*K C_in C_out"]) -> Tensor:
    """`pack_weight`, kept for as long as the weight lives unchanged: inference packs every weight once."""
    if torch.is_grad_enabled() or weight.is_inference():
        return pack_weight(weight)
    state = (weight.data_ptr(), weight._version)
    kept = _PACKED.get(weight)
    if kept is None or kept[0] != state:
        kept = (state, pack_weight(weight))
        _PACKED[weight] = kept
    return kept[1]


def pack_weight(weight: Float[Tensor, "*K C_in C_out"]) -> Tensor:
    """A weight in bfloat16 as the dot products read it: int32 (K, ceil(C_in / 2), padded C_out), two channels a word."""
    weight = weight.to(torch.bfloat16).contiguous()
    slots = weight.shape[0] if weight.ndim == 3 else 1
    c_in, c_out = weight.shape[-2:]
    words = library().packed_size(slots, c_in, c_out) // 2
    rows = max(slots * ((c_in + 1) // 2), 1)
    packed = torch.empty((slots, (c_in + 1) // 2, words // rows), dtype=torch.int32)
    _check(
        library().pack_weight(weight.data_ptr(), slots, c_in, c_out, packed.data_ptr(), torch.get_num_threads())
    )
    return packed
