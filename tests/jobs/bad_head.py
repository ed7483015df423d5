"""A head whose loss is not a number on one event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.semantic import SemanticConfig, SemanticHead

__all__ = ["BadConfig"]


class BadConfig(SemanticConfig):
    kind: Literal["bad_head:BadConfig"] = "bad_head:BadConfig"  # type: ignore[assignment]
    entry: int = 2

    def build(self, *, in_channels: int, dim: int) -> SemanticHead:
        del dim
        return _BadHead(self, in_channels)


class _BadHead(SemanticHead):
    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        assert isinstance(self.config, BadConfig)
        factor = float("nan") if self.config.entry in (key.entry for key in batch.keys) else 1.0
        return {name: value * factor for name, value in super().loss(output, batch).items()}
