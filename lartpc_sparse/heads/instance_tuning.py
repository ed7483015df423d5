"""Grid searches over the thresholds of the heads that find instances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lartpc_sparse.cluster import ClusterThresholds, agglomerate, refine_clusters
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.tuning import ClusterGrid, Tuned, Tuner

if TYPE_CHECKING:
    from lartpc_sparse.heads.spatial_embedding import SpatialEmbeddingConfig
    from lartpc_sparse.heads.voxel_graph import VoxelGraphHead

__all__ = ["EmbeddingTuner", "VoxelGraphTuner"]

GRAPH_THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SEEDS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
PROBABILITIES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)


def _true_groups(batch: Batch, classes: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Class number, rows and true instances of every event and class that has an instance."""
    semantic = regroup(batch.label("semantic").cpu().numpy().astype(np.int64), batch.classes, classes)
    instance = batch.label("instance").cpu().numpy().astype(np.int64)
    for start, stop in itertools.pairwise(batch.offsets.tolist()):
        for number in range(len(classes)):
            rows = start + np.flatnonzero(semantic[start:stop] == number)
            if (instance[rows] >= 0).any():
                yield number, rows, instance[rows]


class VoxelGraphTuner(Tuner):
    """Reach and threshold of every class of a voxel graph.

    Args:
        head: whose edges are scored.
    """

    def __init__(self, head: VoxelGraphHead) -> None:
        self.head = head
        reaches = range(1, head.config.reach + 1)
        settings = [
            {"reach": reach, "far": far, "threshold": threshold}
            for reach in reaches
            for far in (False, True)[: 1 + bool(head.config.far)]
            for threshold in GRAPH_THRESHOLDS
        ]
        self.grid = ClusterGrid(list(head.config.classes), settings)

    def update(self, output: Mapping[str, Tensor], batch: Batch, plain: Batch | None = None) -> None:
        """See `Tuner.update`."""
        del plain
        config = self.head.config
        semantic = batch.label("semantic").cpu().numpy().astype(np.int64)
        classes = regroup(semantic, batch.classes, config.classes)
        pairs, scores = self.head.scored_edges(output, batch, classes)
        coords = batch.coords.cpu().numpy()
        gap = np.abs(coords[pairs[:, 0]] - coords[pairs[:, 1]]).max(axis=1, initial=0)
        place = np.full(len(coords), -1, dtype=np.int64)
        for number, rows, instance in _true_groups(batch, config.classes):
            place[rows] = np.arange(len(rows))
            own = place[pairs[:, 0]] >= 0
            edges, own_scores, own_gap = place[pairs[own]], scores[own], gap[own]
            name = self.grid.classes[number]
            certain, refinements = config.linkage[name].certain, config.refine.get(name, ())
            found, known = [], dict[bytes, np.ndarray]()  # most settings agree on an event: refined once
            for setting in self.grid.settings:
                near = (own_gap <= setting["reach"]) | (setting["far"] & (own_gap > config.reach))
                clusters = agglomerate(
                    edges[near], own_scores[near], len(rows), threshold=setting["threshold"], certain=certain
                )
                if (bits := clusters.tobytes()) not in known:
                    known[bits] = refine_clusters(coords[rows], clusters, refinements)
                found.append(known[bits])
            place[rows] = -1
            self.grid.add(number, instance, found)

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        linkage = {
            name: {"reach": int(setting["reach"]), "far": bool(setting["far"]), "threshold": setting["threshold"]}
            for name, setting in self.grid.best().items()
        }
        return Tuned({"linkage": linkage}, self.grid.trials())


class EmbeddingTuner(Tuner):
    """Seediness and probability thresholds of every class of a spatial embedding.

    Args:
        config: of the head.
    """

    def __init__(self, config: SpatialEmbeddingConfig) -> None:
        self.config = config
        settings = [{"seed": s, "probability": p} for s in SEEDS for p in PROBABILITIES]
        self.grid = ClusterGrid(list(config.classes), settings)

    def update(self, output: Mapping[str, Tensor], batch: Batch, plain: Batch | None = None) -> None:
        """See `Tuner.update`."""
        del plain
        arrays = {name: output[name].cpu().numpy() for name in ("embedding", "margin", "seediness")}
        arrays["coords"] = batch.coords.cpu().numpy()
        for number, rows, instance in _true_groups(batch, self.config.classes):
            name = self.grid.classes[number]
            own = {column: values[rows] for column, values in arrays.items()}
            components = self.config.components(name, own["coords"])
            least = self.config.thresholds[name].min_voxels
            tried = [
                ClusterThresholds(seed=setting["seed"], probability=setting["probability"], min_voxels=least)
                for setting in self.grid.settings
            ]
            found = [self.config.cluster_class(name, thresholds, own, components) for thresholds in tried]
            self.grid.add(number, instance, found)

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        return Tuned({"thresholds": {name: dict(best) for name, best in self.grid.best().items()}}, self.grid.trials())
