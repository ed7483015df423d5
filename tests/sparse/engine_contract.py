"""The contract suite of SEAM 1: what every sparse engine must pass.

An engine opts in with a short subclass:

    class TestMyEngine(EngineContract):
        @pytest.fixture
        def engine(self) -> Engine:
            return MyEngine()

It sets `device` when it does not run on the CPU, and `dtypes` when it lacks a number format.
"""

from __future__ import annotations

import pytest
import torch
from convolution_contract import ConvolutionContract
from map_contract import MapContract
from property_contract import PropertyContract

from lartpc_sparse.sparse import Engine


class EngineContract(MapContract, ConvolutionContract, PropertyContract):
    """Maps, values with gradients, and symmetries of one engine on one device."""

    device: str = "cpu"
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64)

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("a subclass names its engine")
