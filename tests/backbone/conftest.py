"""What the tests of fused inference share."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lartpc_sparse.backbone.fused_forms import FusedUResNet
from lartpc_sparse.sparse import SparseTensor


@pytest.fixture
def fused_runs(monkeypatch: pytest.MonkeyPatch) -> list[FusedUResNet]:
    """The fused forms that have been run since the test began."""
    runs: list[FusedUResNet] = []
    run = FusedUResNet.run

    def counted(self: FusedUResNet, x: SparseTensor) -> Mapping[str, SparseTensor]:
        runs.append(self)
        return run(self, x)

    monkeypatch.setattr(FusedUResNet, "run", counted)
    return runs
