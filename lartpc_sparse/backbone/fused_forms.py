"""Fused forms of a UResNet, made when first needed and for as long as its weights stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lartpc_sparse.backbone.fused import FusedDecoder, FusedEncoder, Target
from lartpc_sparse.sparse import SparseTensor
from lartpc_sparse.sparse.fusion import FusingEngine

if TYPE_CHECKING:
    from lartpc_sparse.backbone.uresnet import UResNet

__all__ = ["FusedForms", "FusedUResNet"]

_FORMATS = (torch.float32, torch.bfloat16)  # epilogues are float32: float64 would lose its digits


@dataclass(frozen=True)
class FusedUResNet:
    """The fused form of a network for some of its streams."""

    target: Target
    encoder: FusedEncoder
    decoders: Sequence[FusedDecoder]
    streams: Sequence[str]

    def run(self, x: SparseTensor) -> Mapping[str, SparseTensor]:
        """As `UResNet.forward`."""
        levels = self.encoder.run(x.replace(x.feats.to(self.target.dtype)))
        results = [
            x.replace(decoder.run([(raw, normalised[number]) for raw, normalised in levels]))
            for number, decoder in enumerate(self.decoders)
        ]
        if len(results) == 1:
            return dict.fromkeys(self.streams, results[0])
        return dict(zip(self.streams, results, strict=True))


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """Changes when one of the tensors is changed in place or moved."""
    return [n for tensor in tensors for n in (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)]


class FusedForms:
    """The fused forms that a network has been asked for, by engine, format and streams.

    What torch does not count (`parameter.data.copy_(...)`, another tensor put in the place of a parameter) goes
    unnoticed until `train()`, `eval()`, `to()` or `load_state_dict()` is called.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[object, ...], FusedUResNet | None] = {}
        self._tensors: list[Tensor] = []
        self._made_from: list[int] = []

    def clear(self) -> None:
        """Forgets all forms."""
        self._forms.clear()
        self._tensors.clear()

    def __deepcopy__(self, memo: object) -> FusedForms:
        return FusedForms()

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: object) -> None:
        self.__init__()  # type: ignore[misc]

    def get(
        self, network: UResNet, engine: FusingEngine, dtype: torch.dtype, streams: Sequence[str]
    ) -> FusedUResNet | None:
        """The fused form of a network; None when it has layers that cannot be fused, or for another format."""
        if dtype not in _FORMATS:
            return None
        if not self._forms or _versions(self._tensors) != self._made_from:
            self._forms.clear()
            self._tensors = [*network.parameters(), *network.buffers()]
            self._made_from = _versions(self._tensors)
        key = (engine, dtype, tuple(streams))
        if key not in self._forms:
            self._forms[key] = _make(network, Target(engine, dtype), streams) if network.foldable else None
        return self._forms[key]


def _make(network: UResNet, target: Target, streams: Sequence[str]) -> FusedUResNet:
    sources = [network.decoder_of(name) for name in (streams[:1] if network.shared else streams)]
    decoders = [FusedDecoder(target, list(one.up), list(one.blocks), one.final, one.out) for one in sources]
    encoder = network.encoder
    stages = FusedEncoder(target, encoder.stem, list(encoder.blocks), list(encoder.down), decoders)
    return FusedUResNet(target, stages, decoders, tuple(streams))
