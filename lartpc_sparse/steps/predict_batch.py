"""A group of events through the network, results aligned with the voxels of the file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int64

from lartpc_sparse.config import PredictConfig
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.prediction_file import Prediction, scatter_to_input
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.true_particles import TRUE_PARTICLES, true_particles
from lartpc_sparse.data.vertices import VERTEX_TABLE, interaction_vertices
from lartpc_sparse.heads import Decoded
from lartpc_sparse.heads.base import DECODE_TABLE, NETWORK_TABLE
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.prediction_data import PredictionBatch, Views

__all__ = ["AUTOCAST", "predict_batch"]

AUTOCAST = {"bf16": torch.bfloat16, "16": torch.float16}
"""Number formats of the precisions that autocast is for."""


def predict_batch(predictor: Predictor, group: PredictionBatch, config: PredictConfig) -> Iterator[Prediction]:
    """Predictions of a group of events, in order."""
    network = predictor.first
    device = next(network.parameters()).device
    masking = network.config.masking_head
    decoded: dict[str, Decoded] = {}
    timed, seconds = any(head.reports_network_time for head in network.config.heads.values()), 0.0
    for batch, names in (
        (group.plain, tuple(name for name in network.config.heads if name != masking)),
        (group.masked, () if masking is None else (masking,)),
    ):
        if batch is not None and names:
            with (
                torch.inference_mode(),
                torch.autocast(device.type, AUTOCAST.get(config.precision), enabled=config.precision in AUTOCAST),
            ):
                moved = batch.to(device)
                begin = time.perf_counter()
                decoded |= network.decode(predictor.outputs(moved, names), moved)
                if timed:
                    _wait(moved.coords)
                seconds += time.perf_counter() - begin
    offsets = group.plain.offsets.tolist()
    for number, views in enumerate(group.events):
        rows = slice(offsets[number], offsets[number + 1])
        prediction = _prediction(views, group.plain.events[number], rows, number, decoded, masking=masking)
        if timed:
            share = seconds * (rows.stop - rows.start) / max(offsets[-1], 1)
            tables = {**prediction.tables, NETWORK_TABLE: {"seconds": np.array([share], dtype=np.float32)}}
            prediction = replace(prediction, tables=tables)
        for name, head in network.config.heads.items():
            prediction = head.finish(name, prediction)
        yield prediction


def _wait(tensor: torch.Tensor) -> None:
    """Until a GPU has done what it was asked for."""
    if tensor.is_cuda:
        torch.cuda.synchronize()


def _prediction(
    views: Views, event: Event, rows: slice, number: int, decoded: dict[str, Decoded], *, masking: str | None
) -> Prediction:
    """One event: per-voxel results scattered back to the rows of the file."""
    columns = {
        f"{head}/{name}": scatter_to_input(
            values[rows], event.inverse_index, np.nan if values.dtype.kind == "f" else -1
        )
        for head, result in decoded.items()
        for name, values in result.columns.items()
    }
    boxes: dict[str, dict[str, np.ndarray]] = {}
    if masking is not None and views.masked is not None:
        none = np.empty((0, 2, event.dim), dtype=np.int64)
        gaps = none if views.masked.gaps is None else views.masked.gaps
        gap = box_of_voxel(event.coords, gaps).astype(np.int32)
        columns[f"{masking}/gap"] = scatter_to_input(gap, event.inverse_index, -1)
        boxes = {f"{masking}.boxes": _boxes_in_file(gaps, event.frame)}
    kinds = {"semantic": np.int8, **dict.fromkeys(("instance", "group", "interaction", "pid"), np.int32)}
    return Prediction(
        key=views.raw.key,
        coords=views.raw.coords,
        energy=views.raw.energy,
        truth={name: views.raw.labels[name].astype(kind) for name, kind in kinds.items() if name in views.raw.labels},
        columns=columns,
        tables={
            VERTEX_TABLE: {"position": interaction_vertices(views.raw)},
            **_decode_seconds(decoded, rows),
            TRUE_PARTICLES: true_particles(views.raw),
            **boxes,
            **{head: _in_file(result.tables[number], event.frame) for head, result in decoded.items() if result.tables},
        },
        status="ok" if views.bad is None else views.bad,
    )


def _decode_seconds(decoded: Mapping[str, Decoded], rows: slice) -> dict[str, dict[str, np.ndarray]]:
    """Time of the heads with a result for each voxel; that of a batch is shared out by the voxels of its events."""
    sizes = {name: len(next(iter(result.columns.values()))) for name, result in decoded.items() if result.columns}
    own = rows.stop - rows.start
    seconds = {
        name: np.array([decoded[name].seconds * own / max(size, 1)], dtype=np.float32) for name, size in sizes.items()
    }
    return {DECODE_TABLE: seconds} if seconds else {}


def _boxes_in_file(boxes: Int64[np.ndarray, "R 2 D"], frame: Frame) -> dict[str, np.ndarray]:
    """First voxel inside (`low`) and first beyond (`high`) of each gap, in the image of the file."""
    corners = [frame.inverse().voxels(corner.astype(np.int32)) for corner in (boxes[:, 0], boxes[:, 1] - 1)]
    return {"low": np.minimum(*corners), "high": np.maximum(*corners) + 1}


def _in_file(table: Mapping[str, np.ndarray], frame: Frame) -> dict[str, np.ndarray]:
    """A table with its voxels where the image of the file has them, whatever a transform has moved."""
    found = dict(table)
    if "coords" in found:
        found["coords"] = frame.inverse().voxels(found["coords"])
    return found
