"""Step `predict`: every test event through the network, results aligned with the voxels of the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Int64
from torch.utils.data import DataLoader

from lartpc_sparse.config import ChainConfig, PredictConfig
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.prediction_file import Prediction, PredictionWriter, scatter_to_input
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.sampler import EventBatchSampler, counts_for
from lartpc_sparse.data.true_particles import TRUE_PARTICLES, true_particles
from lartpc_sparse.data.vertices import VERTEX_TABLE, interaction_vertices
from lartpc_sparse.heads import Decoded
from lartpc_sparse.heads.base import DECODE_TABLE
from lartpc_sparse.progress import track
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.load_network import load_predictor
from lartpc_sparse.steps.particle_csv import ParticleCsv
from lartpc_sparse.steps.prediction_data import PredictionBatch, PredictionDataset, Views, join_views
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.setup import check_precision, choose_device, choose_engine, set_matmul_precision
from lartpc_sparse.weights import name_of, sha256_of

__all__ = ["run_prediction"]

logger = logging.getLogger("lartpc_sparse")

_FORMATS = {"bf16": torch.bfloat16, "16": torch.float16}


def run_prediction(config: ChainConfig, folder: RunFolder, config_yaml: str) -> None:
    """Predict all events of `data.test` into the predictions file.

    Raises:
        UserError: see `load_predictor`; precision 16 on a CPU; a bad event when `data.on_bad_event` is fail.
    """
    assert config.predict is not None
    assert config.data.test is not None
    assert config.model is not None
    device = choose_device(config.run)
    check_precision("predict", config.predict.precision, device)
    set_matmul_precision(device)
    predictor = load_predictor(config, folder, device)
    reader = config.data.test.build()
    events = EventDataset(
        reader,
        config.data.transform_list(training=False),
        seed=config.run.seed,
        on_bad_event=config.data.on_bad_event,
        overlay=config.data.overlay_on(reader, "test"),
    )
    masking = config.model.masking_head
    view = None if masking is None else config.model.heads[masking].inference_view()
    batch = config.predict.batch or config.data.batch
    sampler = EventBatchSampler(counts_for(events, batch), batch, shuffle=False, seed=config.run.seed)
    loader: DataLoader[Views] = DataLoader(
        PredictionDataset(events, view, config.run.seed),
        batch_sampler=sampler,
        collate_fn=join_views,
        num_workers=config.data.num_workers(device),
    )
    skipped = 0
    writer = PredictionWriter(
        folder.predictions,
        image_size=reader.image_size,
        classes=reader.classes,
        attributes={
            "run": config.run.name,
            "checkpoint": ", ".join(map(str, folder.checkpoints)),
            "weights": ", ".join(map(name_of, folder.checkpoints)),
            "weights_sha256": ", ".join(map(sha256_of, folder.checkpoints)),
            "device": device,
            "engine": choose_engine(config.run).engine.name,
            "precision": config.predict.precision,
        },
        config_yaml=config_yaml,
    )
    particles = ParticleCsv(
        folder.predictions.with_name("particles.csv"),
        {
            name: tuple(getattr(head, "classes", ()))
            for name, head in config.model.heads.items()
            if getattr(head, "particles", None) is not None
        },
        len(reader.image_size),
    )
    with writer, particles, track("predict", total=len(reader), unit="events", rate="voxels") as bar:
        for group in loader:
            for prediction in predict_batch(predictor, group, config.predict):
                writer.write(prediction)
                particles.write(prediction)
                skipped += prediction.status != "ok"
            bar.advance(len(group.events), voxels=group.plain.num_voxels)
    if skipped:
        logger.warning("%d of %d events were skipped; the reasons are in %s", skipped, len(reader), folder.predictions)


def predict_batch(predictor: Predictor, group: PredictionBatch, config: PredictConfig) -> Iterator[Prediction]:
    """Predictions of a group of events, in order."""
    network = predictor.first
    device = next(network.parameters()).device
    masking = network.config.masking_head
    decoded: dict[str, Decoded] = {}
    for batch, names in (
        (group.plain, tuple(name for name in network.config.heads if name != masking)),
        (group.masked, () if masking is None else (masking,)),
    ):
        if batch is not None and names:
            with (
                torch.inference_mode(),
                torch.autocast(device.type, _FORMATS.get(config.precision), enabled=config.precision in _FORMATS),
            ):
                moved = batch.to(device)
                decoded |= network.decode(predictor.outputs(moved, names), moved)
    offsets = group.plain.offsets.tolist()
    for number, views in enumerate(group.events):
        rows = slice(offsets[number], offsets[number + 1])
        prediction = _prediction(views, group.plain.events[number], rows, number, decoded, masking=masking)
        for name, head in network.config.heads.items():
            prediction = head.finish(name, prediction)
        yield prediction


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
