"""Step `predict`: every test event through the network, in parts that ranks and job arrays share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.event_parts import EventPart
from lartpc_sparse.data.join_predictions import join_predictions
from lartpc_sparse.data.prediction_file import PredictionFile, PredictionWriter
from lartpc_sparse.heads import SignalConfig
from lartpc_sparse.jobs import Ranks, Shard, replace_durably
from lartpc_sparse.progress import track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.cluster_csv import ClusterCsv
from lartpc_sparse.steps.load_network import load_predictor
from lartpc_sparse.steps.particle_csv import ParticleCsv
from lartpc_sparse.steps.predict_batch import predict_batch
from lartpc_sparse.steps.prediction_data import PredictionData, prediction_data
from lartpc_sparse.steps.prediction_parts import PredictionParts
from lartpc_sparse.steps.run_folder import RunFolder, fingerprint
from lartpc_sparse.steps.setup import check_precision, choose_device, choose_engine, set_matmul_precision
from lartpc_sparse.weights import name_of, sha256_of

__all__ = ["run_prediction"]

logger = logging.getLogger("lartpc_sparse")


@dataclass(frozen=True)
class _Task:
    """A prediction, divided into parts."""

    config: ChainConfig
    folder: RunFolder
    config_yaml: str
    data: PredictionData
    parts: PredictionParts

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Of every part; reading all weights for their digest takes as long as predicting some events."""
        assert self.config.predict is not None
        return {
            "run": self.config.run.name,
            "checkpoint": ", ".join(map(str, self.folder.checkpoints)),
            "weights": ", ".join(map(name_of, self.folder.checkpoints)),
            "weights_sha256": ", ".join(map(sha256_of, self.folder.checkpoints)),
            "device": choose_device(self.config.run),
            "engine": choose_engine(self.config.run).engine.name,
            "precision": self.config.predict.precision,
            "inputs": self.parts.identity,
        }


def run_prediction(
    config: ChainConfig,
    folder: RunFolder,
    config_yaml: str,
    *,
    identity: str = "",
    ranks: Ranks | None = None,
    shard: Shard | None = None,
    repeat: bool = False,
) -> bool:
    """Predict all events of `data.test` into the predictions file; finished parts of the same prediction are kept.

    Args:
        config: the chain.
        folder: of the run.
        config_yaml: resolved configuration, stored in the file.
        identity: hash of all that the results depend on.
        ranks: that share the parts; the first one joins them.
        shard: predict only this share of the parts, and join nothing: for job arrays.
        repeat: predict finished parts again.

    Returns:
        Whether the predictions file is complete; False: parts of other shards are to come, or to be joined.

    Raises:
        UserError: see `load_predictor`; precision 16 on a CPU; a bad event when `data.on_bad_event` is fail.
    """
    assert config.predict is not None
    ranks = ranks or Ranks()
    device = choose_device(config.run)
    check_precision("predict", config.predict.precision, device)
    set_matmul_precision(device)
    batch = config.predict.batch or config.data.batch
    data = prediction_data(config, "test", device, batch)
    total = len(data.events)
    made_by = provenance()
    maker = [device, choose_engine(config.run).engine.name, made_by["lartpc_sparse_version"], made_by["git_hash"]]
    parts = PredictionParts(
        folder.predictions,
        identity,
        total,
        batch.events or 1,
        config.predict.part_events,
        maker=fingerprint(maker)[:8],
    )
    if not repeat and ranks.on_first(lambda: _is_complete(folder.predictions, identity)):
        ranks.on_first(parts.clear)
        return True
    if repeat:  # of a share, too: a file that is there would be taken for the result when the shares are joined
        ranks.on_first(parts.clear if shard is None else lambda: folder.predictions.unlink(missing_ok=True))
    parts.folder.mkdir(parents=True, exist_ok=True)
    several = ranks.several or shard is not None
    count, number = (1, 0) if shard is None else (shard.count, shard.number)
    voxels = data.events.num_voxels() if several else np.zeros(total, dtype=np.int64)
    mine = parts.share(voxels, number * ranks.size + ranks.rank, count * ranks.size)
    todo = [part for part in mine if (shard is not None and repeat) or not parts.is_done(part)]
    task = _Task(config, folder, config_yaml, data, parts)
    _predict_parts(task, mine, todo, show=ranks.first)
    ranks.wait()
    if shard is None:
        ranks.on_first(lambda: _join(task))
    return shard is None


def _predict_parts(task: _Task, mine: list[EventPart], todo: list[EventPart], *, show: bool) -> None:
    config, data = task.config, task.data
    assert config.predict is not None
    device = choose_device(config.run)
    predictor = load_predictor(config, task.folder, device) if todo else None
    total, left = (sum(part.stop - part.first for part in some) for some in (mine, todo))
    counts = data.counts() if todo else None
    with track("predict", total=total, unit="events", rate="voxels", start=total - left, show=show) as bar:
        for part in todo:
            assert predictor is not None
            assert counts is not None
            with _writer(task, task.parts.path(part)) as writer:
                for group in data.loader(counts, part.first, part.stop):
                    for prediction in predict_batch(predictor, group, config.predict):
                        writer.write(prediction)
                    bar.advance(len(group.events), voxels=group.plain.num_voxels)
            task.parts.finish(part)


def _join(task: _Task) -> None:
    """All parts into the predictions file, and the particles into their table; a single part becomes the file."""
    config, folder, data, parts = task.config, task.folder, task.data, task.parts
    assert config.model is not None
    files = list(parts.files())
    particles = ParticleCsv(
        folder.predictions.with_name("particles.csv"),
        {
            name: tuple(getattr(head, "classes", ()))
            for name, head in config.model.heads.items()
            if getattr(head, "particles", None) is not None
        },
        len(data.events.reader.image_size),
    )
    tables = tuple(name for name, head in config.model.heads.items() if isinstance(head, SignalConfig))
    clusters = ClusterCsv(folder.predictions.with_name("clusters.csv"), tables)
    with particles, clusters:
        for path in files if particles.wanted or clusters.wanted else ():
            with PredictionFile(path) as part:
                for prediction in part:
                    particles.write(prediction)
                    clusters.write(prediction)
    if len(files) == 1:
        with PredictionFile(files[0]) as part:
            skipped = part.skipped
        replace_durably(files[0], folder.predictions)
    else:
        with track("join", total=len(data.events), unit="events") as bar:
            skipped = join_predictions(files, folder.predictions, bar.advance)
    parts.clear()
    if skipped:
        logger.warning(
            "%d of %d events were skipped; the reasons are in %s", skipped, len(data.events), folder.predictions
        )


def _is_complete(path: Path, identity: str) -> bool:
    """Whether a kill came between the predictions file and the record that says it is there."""
    if not (identity and path.exists()):
        return False
    try:
        with PredictionFile(path) as file:
            return file.attributes.get("inputs") == identity
    except UserError:
        return False


def _writer(task: _Task, path: Path) -> PredictionWriter:
    """Writes predictions of this chain to a file."""
    return PredictionWriter(
        path,
        image_size=task.data.events.reader.image_size,
        classes=task.data.events.reader.classes,
        attributes=task.attributes,
        config_yaml=task.config_yaml,
    )
