"""Step `inpaint`: the test events with their gaps filled, into a file that `predict` reads instead of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from lartpc_sparse.cluster.gaps import BridgesConfig, filled_event
from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason, event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.progress import track
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.steps.gap_filler import Filler, NetworkFiller, plain_filler
from lartpc_sparse.steps.run_folder import RunFolder, weights_identity
from lartpc_sparse.steps.setup import choose_device, choose_engine, set_matmul_precision
from lartpc_sparse.weights import describe_as_used, find_weights

__all__ = ["filling_inputs", "on_filled_events", "run_filling"]

logger = logging.getLogger("lartpc_sparse")

GROUP = 8
"""Events that are filled at a time."""
_POSITION = 3_000_000
"""Place of the gaps in the chain of random generators: behind transforms, views and overlays."""


def on_filled_events(config: ChainConfig, folder: RunFolder) -> ChainConfig:
    """The chain with the filled events as `data.test`, where it has a section `inpaint`.

    Raises:
        UserError: they are not there yet.
    """
    if config.inpaint is None:
        return config
    if not folder.filled.exists():
        raise UserError(f"the chain has a section inpaint, but there is no {folder.filled}; run the step inpaint first")
    filled = VoxelsConfig(files=(str(folder.filled),))
    return config.model_copy(update={"data": config.data.model_copy(update={"test": filled})})


def filling_inputs(config: ChainConfig, files: list[Any]) -> dict[str, Any]:
    """Everything that the filled events depend on, as JSON-ready values; `files` identify the test events."""
    assert config.inpaint is not None
    assert config.data.test is not None
    weights = config.inpaint.weights
    return {
        "seed": config.run.seed,
        "test": config.data.test.model_dump(mode="json"),
        "on_bad_event": config.data.on_bad_event,
        "inpaint": config.inpaint.model_dump(mode="json"),
        "files": files,
        "weights": None if weights is None else weights_identity(find_weights(weights)),
        "model": None if weights is None else describe_as_used(find_weights(weights)).model,
        "line": BridgesConfig().model_dump(mode="json"),  # what neither names, by which lines and candidates go
    }


def run_filling(config: ChainConfig, folder: RunFolder) -> None:
    """Empty the regions of every event of `data.test`, fill them, and write the events in their order.

    A label column `filled` marks new voxels; they have no class and no particle, so that no metric counts them.

    Raises:
        UserError: no or damaged weights, regions that do not fit the images, or a bad event when `data.on_bad_event`
            is fail.
    """
    assert config.inpaint is not None
    assert config.data.test is not None
    reader = config.data.test.build()
    events = EventDataset(reader, (), seed=config.run.seed, on_bad_event=config.data.on_bad_event)
    fill = _filler(config)
    writer = VoxelFileWriter(
        folder.filled,
        image_size=reader.image_size,
        classes=reader.classes,
        voxel_size_mm=getattr(reader, "voxel_size_mm", None),
        origin=f"gaps filled with {config.inpaint.weights or config.inpaint.fill_with}",
    )
    skipped = 0
    with writer, track("inpaint", total=len(reader), unit="events") as bar:
        for start in range(0, len(reader), GROUP):
            indices = list(range(start, min(start + GROUP, len(reader))))
            group = [events[0, index] for index in indices]
            for event in _filled(fill, group, indices, config):
                skipped += event is None
                writer.write(_marked(*(event or (_emptied(group[0]), 0))))
            bar.advance(len(group))
    skipped += len(events.bad_events)
    if skipped:
        logger.warning("%d of %d events were skipped; they are empty in %s", skipped, len(reader), folder.filled)


def _filled(
    fill: Filler, events: Sequence[Event], indices: Sequence[int], config: ChainConfig
) -> list[tuple[Event, int] | None]:
    """Each event with its gaps filled, and the number of new voxels; None for one that the weights cannot be given."""
    rngs = [event_rng(config.run.seed, 0, index, _POSITION) for index in indices]
    try:
        found = fill(events, rngs)
    except BadEventError as error:
        if config.data.on_bad_event == "fail":
            raise
        if len(events) == 1:
            logger.warning("event skipped: %s", error)
            return [None]
        return [
            one for event, index in zip(events, indices, strict=True) for one in _filled(fill, [event], [index], config)
        ]
    return [
        (filled_event(event, boxes, filled), len(filled.coords))
        for event, (boxes, filled) in zip(events, found, strict=True)
    ]


def _emptied(event: Event) -> Event:
    return event.select(np.zeros(0, dtype=np.int64)).replace(particles={})


def _filler(config: ChainConfig) -> Filler:
    assert config.inpaint is not None
    section = config.inpaint
    if section.weights is None:
        return plain_filler(section.fill_with, section.regions)
    device = choose_device(config.run)
    set_matmul_precision(device)
    return NetworkFiller(find_weights(section.weights), section.regions, choose_engine(config.run).engine, device)


def _marked(event: Event, new: int) -> Event:
    """With the column `filled`; what a skipped event says of itself is no number and cannot be stored."""
    if bad_event_reason(event) is not None:
        event = event.replace(particles={})
    filled = np.zeros(len(event), dtype=np.int64)
    filled[len(event) - new :] = 1
    return event.with_labels(filled=filled)
