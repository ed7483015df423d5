"""The reference engine against the contract."""

from __future__ import annotations

import pytest
from engine_contract import EngineContract

from lartpc_sparse.sparse import Engine, TorchEngine


class TestTorchEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return TorchEngine()
