"""Each head learns: a few dozen steps on two events of a few dozen voxels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from labelled_events import CLASSES, head_batch, line_event, to_predictions

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.network import ModelConfig, Network

in_2d_and_3d = pytest.mark.parametrize("dim", [2, 3])


def overfit(head: dict[str, Any], dim: int, steps: int) -> tuple[Network, Batch, list[float]]:
    """A few dozen steps on two events; the summed loss before each of them and after the last."""
    torch.manual_seed(0)
    backbone = {"kind": "uresnet", "filters": 8, "depth": 2, "blocks": 1}
    model = Network(ModelConfig.model_validate({"dim": dim, "backbone": backbone, "heads": {"mine": head}}))
    batch = head_batch(model.config.heads["mine"], [line_event(dim, 0, 0), line_event(dim, 1, 1)])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    history = []
    for _ in range(steps + 1):
        loss = torch.stack(list(model.loss(model(batch), batch).values())).sum()
        history.append(loss.item())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model, batch, history


def evaluated(model: Network, batch: Batch) -> dict[str, Any]:
    """Metrics on the training events; with the batch's own statistics, which so few steps do not average."""
    with torch.no_grad():
        decoded = model.decode(model(batch), batch)
    evaluator = model.config.heads["mine"].evaluator("mine", CLASSES)
    for prediction in to_predictions(batch, decoded):
        evaluator.update(prediction)
    return evaluator.result()


@in_2d_and_3d
def test_the_semantic_head_learns(dim: int) -> None:
    """Classes that differ in position and energy: the loss falls to a tenth, every voxel is right."""
    model, batch, history = overfit({"kind": "semantic", "weighting": {"kind": "none"}}, dim, 40)
    assert history[-1] < history[0] / 10
    assert evaluated(model, batch)["accuracy"] > 0.95


@in_2d_and_3d
def test_the_voxel_graph_head_learns(dim: int) -> None:
    """The loss falls to a tenth and the particles are told apart, also those that are not connected."""
    linkage = {name: {"reach": 12, "threshold": 0.5} for name in ("shower", "track", "Michel", "delta")}
    model, batch, history = overfit({"kind": "voxel_graph", "reach": 12, "far": [], "linkage": linkage}, dim, 60)
    assert history[-1] < history[0] / 10
    assert evaluated(model, batch)["mean_ari"]["true"] > 0.9


@in_2d_and_3d
def test_the_embedding_head_learns(dim: int) -> None:
    """The loss falls to a tenth and the particles are told apart."""
    model, batch, history = overfit({"kind": "spatial_embedding"}, dim, 80)
    assert history[-1] < history[0] / 10
    assert evaluated(model, batch)["mean_ari"]["true"] > 0.9


@in_2d_and_3d
def test_the_inpainting_head_learns(dim: int) -> None:
    """The loss falls to a tenth; the gaps are filled with the right voxels and charge."""
    model, batch, history = overfit({"kind": "inpaint", "region": {"kind": "mask_boxes", "size": 4}}, dim, 60)
    assert history[-1] < history[0] / 10
    scores = evaluated(model, batch)
    assert scores["f1"] > 0.9
    assert scores["charge"]["relative_error"] < 0.2
