"""Tiles with a halo give what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lartpc_sparse.config import TilesConfig
from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.sparse.engines.dense_engine import DenseEngine
from lartpc_sparse.steps.tiled_outputs import tiled_outputs


def network() -> Network:
    """Depth 1: what a voxel sees reaches some 20 voxels."""
    torch.manual_seed(1)
    backbone = {"kind": "uresnet", "filters": 4, "depth": 1, "blocks": 1}
    model = {"dim": 2, "backbone": backbone, "heads": {"pick": {"kind": "signal"}}}
    return Network(ModelConfig.model_validate(model), DenseEngine()).eval()


def event(entry: int, size: tuple[int, int], share: float) -> Event:
    rng = np.random.default_rng(entry)
    coords = np.argwhere(rng.random(size) < share).astype(np.int32)
    return Event(EventKey("made", entry), coords, rng.normal(size=len(coords)).astype(np.float32), size)


@pytest.mark.parametrize("share", [1.0, 0.6])
@pytest.mark.parametrize("size", [16, 37])
def test_tiles_join_without_seams(share: float, size: int) -> None:
    batch = collate([event(0, (70, 90), share), event(1, (70, 90), 0.0), event(2, (70, 90), share)])
    model = network()
    with torch.inference_mode():
        whole = model(batch)["pick"]["logit"]
        found = tiled_outputs(model, batch, ("pick",), TilesConfig(size=size, halo=24))["pick"]["logit"]
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
        seams = tiled_outputs(model, batch, ("pick",), TilesConfig(size=size, halo=0))["pick"]["logit"]
    assert not torch.allclose(seams, whole, rtol=1e-3, atol=1e-3)


def test_no_voxels_and_no_tiles() -> None:
    batch = collate([event(1, (20, 20), 0.0)])
    with torch.inference_mode():
        assert tiled_outputs(network(), batch, ("pick",), TilesConfig(size=8))["pick"]["logit"].shape == (0,)
        assert tiled_outputs(network(), batch, ("pick",), None)["pick"]["logit"].shape == (0,)
