"""Calls of the compiled convolution kernels on tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.native.handles import BlockedMap, BlockedMapHandle
from lartpc_sparse.sparse.native.library import OutputRecord, TermRecord, check_status, library
from lartpc_sparse.sparse.native.tensors import DTYPES, whole_rows

__all__ = ["PreparedConvolution", "convolve", "pack_weight", "transpose_weight", "weight_gradient"]

_ACTIVATIONS = {None: 0, "leaky_relu": 1, "elu": 2, "gelu": 3}


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _native(kernel_map: KernelMap) -> tuple[BlockedMapHandle, bool]:
    if isinstance(kernel_map, BlockedMap):
        return kernel_map.handle, kernel_map.reversed
    return kernel_map.derived("cpu", BlockedMapHandle.from_pairs), False


class PreparedConvolution:
    """A fused convolution with its weights in place: see `FusingEngine.prepare`."""

    def __init__(
        self,
        weights: Sequence[Float[Tensor, "... _ C_out"]],
        epilogues: Sequence[Epilogue],
        bias: Float[Tensor, " C_out"] | None,
        dtype: torch.dtype,
    ) -> None:
        self.asked = dtype
        # Half precision has no kernel of its own: it is computed in float32 and rounded at the end.
        self.dtype = dtype if dtype in DTYPES else torch.float32
        self.out_channels = weights[0].shape[-1]
        self._shapes = [(weight.shape[0] if weight.ndim == 3 else 1, weight.shape[-2]) for weight in weights]
        self._terms = (TermRecord * len(weights))()
        self._outputs = (OutputRecord * len(epilogues))()
        self._bias = None if bias is None else bias.to(torch.float32).contiguous()
        self._kept: list[Tensor] = []  # what the records point to
        for term, weight in zip(self._terms, weights, strict=True):
            self._set_weight(term, weight)
        for output, epilogue in zip(self._outputs, epilogues, strict=True):
            output.scale, output.shift = self._keep(epilogue.scale), self._keep(epilogue.shift)
            output.y_stride = self.out_channels
            output.activation, output.slope = _ACTIVATIONS[epilogue.activation], epilogue.slope

    def _check_shapes(
        self, inputs: Sequence[Tensor], maps: Sequence[KernelMap | None], num_out: int, residual: Tensor | None
    ) -> None:
        for feats, kernel_map, (volume, c_in) in zip(inputs, maps, self._shapes, strict=True):
            rows, slots = (num_out, 1) if kernel_map is None else (kernel_map.num_in, kernel_map.kernel_volume)
            outputs = num_out if kernel_map is None else kernel_map.num_out
            if feats.shape != (rows, c_in) or slots != volume or outputs != num_out or not feats.is_cpu:
                raise ValueError(
                    f"features {tuple(feats.shape)} on {feats.device} and a weight of {volume} slots and {c_in} input "
                    f"channels do not fit a map of {slots} slots from {rows} to {outputs} voxels on the CPU, "
                    f"{num_out} wanted"
                )
        if residual is not None and residual.shape != (num_out, self.out_channels):
            raise ValueError(f"residual {tuple(residual.shape)} does not fit ({num_out}, {self.out_channels})")

    def _keep(self, factors: Tensor | None) -> int | None:
        if factors is None:
            return None
        self._kept.append(factors.to(torch.float32).contiguous())
        return self._kept[-1].data_ptr()

    def _set_weight(self, term: TermRecord, weight: Tensor) -> None:
        term.cin = weight.shape[-2]
        if self.dtype == torch.bfloat16:
            weight = pack_weight(weight)
        else:
            weight = weight.to(self.dtype)
            if weight.stride(-1) != 1:
                weight = weight.contiguous()
        term.w, term.w_row = weight.data_ptr(), weight.stride(-2)
        term.w_slot = weight.stride(0) if weight.ndim == 3 else 0
        self._kept.append(weight)

    def __call__(
        self,
        inputs: Sequence[Float[Tensor, "_ _"]],
        maps: Sequence[KernelMap | None],
        num_out: int,
        residual: Float[Tensor, "num_out C_out"] | None = None,
    ) -> list[Tensor]:
        """See `FusedConvolution`.

        Raises:
            ValueError: inputs, weights, maps and residual do not fit each other; unchecked, the kernels would read
                beyond them.
            RuntimeError: the maps do not fit together.
        """
        dtype, channels = self.dtype, self.out_channels
        self._check_shapes(inputs, maps, num_out, residual)
        alive = []  # what the library reads must outlive the call
        # Records of this call's own: two threads may use one model.
        terms = type(self._terms).from_buffer_copy(self._terms)
        outputs = type(self._outputs).from_buffer_copy(self._outputs)
        for term, given, kernel_map in zip(terms, inputs, maps, strict=True):
            feats = whole_rows(given.to(dtype))
            alive.append(feats)
            term.x, term.x_stride = feats.data_ptr(), feats.stride(0)
            term.map = None
            if kernel_map is not None:
                handle, term.reversed = _native(kernel_map)
                term.map = handle.pointer
        residual = None if residual is None else whole_rows(residual.to(dtype))
        results = [torch.empty((num_out, channels), dtype=dtype) for _ in outputs]
        for output, result in zip(outputs, results, strict=True):
            output.y = result.data_ptr()
        if num_out and channels:
            check_status(
                library().convolve(
                    DTYPES[dtype],
                    terms,
                    len(terms),
                    num_out,
                    channels,
                    _address(self._bias),
                    _address(residual),
                    0 if residual is None else residual.stride(0),
                    outputs,
                    len(results),
                    torch.get_num_threads(),
                )
            )
        del alive
        return results if dtype == self.asked else [result.to(self.asked) for result in results]


def convolve(
    feats: Float[Tensor, "num_in C_in"], weight: Float[Tensor, "K C_in C_out"], kernel_map: KernelMap
) -> Float[Tensor, "num_out C_out"]:
    """One convolution, nothing fused."""
    return PreparedConvolution([weight], [Epilogue()], None, feats.dtype)([feats], [kernel_map], kernel_map.num_out)[0]


def weight_gradient(
    feats: Float[Tensor, "num_in C_in"], grad: Float[Tensor, "num_out C_out"], kernel_map: KernelMap | None
) -> Float[Tensor, "K C_in C_out"]:
    """Sum over the pairs (p, q) of each slot of feats[p]^T grad[q], in the format of the features.

    Without a map every voxel meets itself: one slot.

    Raises:
        ValueError: rows that are not those of the map; unchecked, the kernels would read beyond them.
    """
    dtype = feats.dtype if feats.dtype in DTYPES else torch.float32
    sums = torch.float32 if dtype == torch.bfloat16 else dtype
    x, g = whole_rows(feats.to(dtype)), whole_rows(grad.to(dtype))
    rows = (len(g), len(g)) if kernel_map is None else (kernel_map.num_in, kernel_map.num_out)
    if (len(x), len(g)) != rows:
        raise ValueError(
            f"features of {len(x)} and gradients of {len(g)} voxels do not fit a map from {rows[0]} to {rows[1]}"
        )
    shape = (1 if kernel_map is None else kernel_map.kernel_volume, x.shape[1], g.shape[1])
    # The library writes every element; clearing them first took 3 % of a training step.
    result = (torch.empty if len(g) else torch.zeros)(shape, dtype=sums)
    pointer, is_reversed = None, False
    if kernel_map is not None:
        handle, is_reversed = _native(kernel_map)
        pointer = handle.pointer
    if result.numel() and len(g):
        check_status(
            library().weight_gradient(
                DTYPES[dtype],
                x.data_ptr(),
                x.stride(0),
                x.shape[1],
                g.data_ptr(),
                g.stride(0),
                g.shape[1],
                pointer,
                len(g),
                result.data_ptr(),
                torch.get_num_threads(),
            )
        )
    return (result.flip(0) if is_reversed else result).to(feats.dtype)


def transpose_weight(weight: Float[Tensor, "K C_in C_out"]) -> Float[Tensor, "K C_out C_in"]:
    """The weight of the gradient with respect to the features."""
    if weight.dtype not in DTYPES:
        return weight.transpose(1, 2).contiguous()
    weight = weight.contiguous()
    slots, rows, columns = weight.shape
    out = weight.new_empty((slots, columns, rows))
    check_status(
        library().transpose_weight(
            DTYPES[weight.dtype], weight.data_ptr(), slots, rows, columns, out.data_ptr(), torch.get_num_threads()
        )
    )
    return out


def pack_weight(weight: Float[Tensor, "*K C_in C_out"]) -> Tensor:
    """A weight in bfloat16 as the kernels read it: int32 (K, ceil(C_in / 2), padded C_out), two channels a word."""
    weight = weight.to(torch.bfloat16).contiguous()
    slots = weight.shape[0] if weight.ndim == 3 else 1
    c_in, c_out = weight.shape[-2:]
    words = library().packed_size(slots, c_in, c_out) // 2
    rows = max(slots * ((c_in + 1) // 2), 1)
    packed = torch.empty((slots, (c_in + 1) // 2, words // rows), dtype=torch.int32)
    check_status(
        library().pack_weight(weight.data_ptr(), slots, c_in, c_out, packed.data_ptr(), torch.get_num_threads())
    )
    return packed
