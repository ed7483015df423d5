"""What a backbone is: one encoder and, for every named stream, decoded features on the input voxels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import nn

from lartpc_sparse.schema import PartConfig
from lartpc_sparse.sparse import SparseTensor

__all__ = ["Backbone", "BackboneConfig"]


class Backbone(nn.Module, ABC):
    """Maps a sparse tensor to one feature tensor a stream, all on the input voxels.

    Attributes:
        out_channels: number of features of every stream.
    """

    out_channels: int

    @abstractmethod
    def forward(self, x: SparseTensor, streams: Sequence[str] | None = None) -> Mapping[str, SparseTensor]:
        """Features of `out_channels` channels for the named streams, or for all."""


class BackboneConfig(PartConfig, ABC):
    """Base of the configurations in `model.backbone`."""

    @abstractmethod
    def build(self, *, in_channels: int, dim: int, streams: Sequence[str]) -> Backbone:
        """A backbone of `dim` axes that offers the given streams."""
