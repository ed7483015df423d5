"""Metrics of the signal head and of the classical chain on the same frames."""

from __future__ import annotations

import time
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lartpc_sparse.cluster.pixels import PixelClusteringConfig, cluster_table
from lartpc_sparse.data.camera.frame_image import FrameImage
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.signal.binning import binning_conflict
from lartpc_sparse.heads.signal.classical import Found, classical_chain
from lartpc_sparse.heads.signal.evaluation import SignalEvaluationConfig
from lartpc_sparse.heads.signal.examples import Examples
from lartpc_sparse.heads.signal.tally import Tally
from lartpc_sparse.metrics.recoils import match_recoils
from lartpc_sparse.schema import UserError

__all__ = ["SignalEvaluator"]


@runtime_checkable
class FrameSource(Protocol):
    """The part of the reader `frames` that the evaluation needs."""

    def frame(self, index: int) -> FrameImage:
        """The frame at full resolution."""
        ...

    def preprocessed(self, frame: FrameImage) -> FrameImage:
        """What the network's pixels are made of."""
        ...

    def read(self, index: int) -> Event:
        """Its pixels with truth."""
        ...

    def key(self, index: int) -> EventKey:
        """File and entry."""
        ...

    def __len__(self) -> int:
        """Number of frames."""
        ...


class SignalEvaluator(Evaluator):
    """Pixel precision and recall; recoils found, fakes, integrals and times of the network and the classical chain.

    Args:
        name: of the head.
        signal: classes that are signal.
        truth_classes: names of the values of the semantic truth.
        clusters: how the selected pixels are clustered.
        config: what is measured.
        threshold: of the selection, repeated in the result.
    """

    def __init__(  # noqa: PLR0917
        self,
        name: str,
        signal: tuple[str, ...],
        truth_classes: tuple[str, ...],
        clusters: PixelClusteringConfig,
        config: SignalEvaluationConfig,
        threshold: float,
    ) -> None:
        self.name, self.config, self.clusters, self.threshold = name, config, clusters, threshold
        self._signal = [number for number, kind in enumerate(truth_classes) if kind in signal]
        self._reader: FrameSource | None = None
        self._index: dict[EventKey, int] = {}
        self._tallies = {"network": Tally(config)} | ({} if config.classical is None else {"classical": Tally(config)})
        self._examples = Examples(config.examples)
        self._pixels = {"right": 0, "selected": 0, "signal": 0}

    def use_events(self, reader: object) -> None:
        """See `Evaluator.use_events`; frames are read again for the classical chain and the true light."""
        if isinstance(reader, FrameSource):
            factor = getattr(reader, "factor", None)
            conflict = None if factor is None else binning_conflict(self.name, self.clusters, self.config, factor)
            if conflict is not None:
                raise UserError(conflict)
            self._reader = reader
            self._index = {reader.key(index): index for index in range(len(reader))}
        elif self.config.classical is not None:
            raise UserError(
                f"heads.{self.name}.evaluate.classical runs on frames at full resolution; use the reader `frames` "
                "for data.test, or leave it out"
            )

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        if "semantic" not in prediction.truth:
            return
        selected = prediction.columns[f"{self.name}/selected"] > 0
        semantic = prediction.truth["semantic"]
        truth = np.isin(semantic, self._signal)
        known = semantic >= 0
        self._pixels["right"] += int((selected & truth).sum())
        self._pixels["selected"] += int((selected & known).sum())
        self._pixels["signal"] += int(truth.sum())
        if self._reader is None or prediction.key not in self._index:
            return
        index = self._index[prediction.key]
        assert prediction.coords.shape[1] == 2  # frames are images
        event = self._reader.read(index)
        if "light" not in event.labels or not event.particles:
            return
        found = {"network": self._network(prediction, selected)}
        frame = None
        if self.config.classical is not None:
            frame = self._reader.frame(index)
            begin = time.perf_counter()
            self._reader.preprocessed(frame)
            found["network"].seconds = {"preprocessing": time.perf_counter() - begin, **found["network"].seconds}
            found["classical"] = classical_chain(frame, self.config.classical)
        for method, result in found.items():
            self._compare(method, event, prediction, result)
        self._examples.offer(event, prediction, self.name, found)

    def _network(self, prediction: Prediction, selected: np.ndarray) -> Found:
        seconds = {}
        table = prediction.tables.get("network:seconds")
        if table is not None and len(table["seconds"]):
            seconds["network"] = float(table["seconds"][0])
        begin = time.perf_counter()
        labels = np.full(len(prediction), -1, dtype=np.int64)
        labels[selected] = self.clusters.find(prediction.coords[selected], prediction.energy[selected])
        seconds["clustering"] = time.perf_counter() - begin
        return Found(prediction.coords, labels, int(selected.sum()), seconds, self.clusters)

    def _compare(self, method: str, event: Event, prediction: Prediction, found: Found) -> None:
        size = event.image_size
        cluster = np.full(size, -1, dtype=np.int64)
        cluster[found.coords[:, 0], found.coords[:, 1]] = found.labels
        own = cluster[event.coords[:, 0], event.coords[:, 1]]
        area = found.clusters.binning**2
        light = np.asarray(event.particles["light"], dtype=np.float64)
        match = match_recoils(
            own,
            event.labels["instance"],
            event.labels["light"] * area,
            light,
            min_share=self.config.min_share,
            min_purity=self.config.min_purity,
        )
        table = cluster_table(event.coords, event.energy, own, found.clusters, (size[0], size[1]))
        self._tallies[method].add(event.particles, match, table["integral"], found.pixels, found.seconds)

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        pixels = self._pixels
        return {
            "kind": "signal",
            "threshold": self.threshold,
            "pixels": {
                **pixels,
                "recall": pixels["right"] / pixels["signal"] if pixels["signal"] else None,
                "precision": pixels["right"] / pixels["selected"] if pixels["selected"] else None,
            },
            "level": self.config.level,
            "methods": {name: tally.result() for name, tally in self._tallies.items() if tally.images},
            "examples": self._examples.result(),
        }
