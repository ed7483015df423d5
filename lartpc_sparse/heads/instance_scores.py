"""Scores that one way of clustering has, collected event by event: by event and class, and by particle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from lartpc_sparse.heads.instance_evaluation import InstanceEvaluationConfig
from lartpc_sparse.heads.semantic_curves import LEVEL, plain_rates
from lartpc_sparse.metrics.binned_rates import BinnedRates
from lartpc_sparse.metrics.clustering import ClusteringScores, clustering_scores, summarise_clustering
from lartpc_sparse.metrics.particle_scores import particle_scores

__all__ = ["EVENT_SCORES", "PARTICLE_SCORES", "InstanceScores", "TrueGroup"]

EVENT_SCORES = ("ari", "purity", "efficiency", "sbd")
PARTICLE_SCORES = ("ari", "dice", "jaccard", "efficiency", "purity")
"""Scores of a particle; `ari` is that of its event and class."""

_CURVES = ("ari", "dice", "efficiency", "purity")


@dataclass(frozen=True)
class TrueGroup:
    """The voxels of one event and class that have a true cluster.

    Attributes:
        number: of the class.
        rows: of the voxels in the event.
        instance: true cluster of each, 0 or more.
        quantities: of the K true clusters in ascending order of their ids, by name; NaN where undefined.
    """

    number: int
    rows: Int64[np.ndarray, " N"]
    instance: Int64[np.ndarray, " N"]
    quantities: Mapping[str, Float64[np.ndarray, " K"]]


class InstanceScores:
    """Keeps some ten numbers of every event and class; the curves are sums.

    Args:
        classes: of the head.
        config: cuts and bins.
    """

    def __init__(self, classes: Sequence[str], config: InstanceEvaluationConfig) -> None:
        self._classes = tuple(classes)
        self._config = config
        self._cuts = np.array(sorted({config.cut, *config.cuts}))
        self.events: list[list[ClusteringScores]] = [[] for _ in classes]
        self._particles: list[list[np.ndarray]] = [[] for _ in classes]
        self._above = np.zeros((len(classes), len(PARTICLE_SCORES), len(self._cuts)), dtype=np.int64)
        self._edges = {name: edges for name, edges in config.bins.model_dump().items() if edges}
        self._rates = {
            (quantity, score): BinnedRates(edges, len(classes))
            for quantity, edges in self._edges.items()
            for score in _CURVES
        }

    def update(self, groups: Sequence[TrueGroup], found: Int64[np.ndarray, " N"]) -> None:
        """Take one event into account: its groups, and the clusters that were found for all its voxels."""
        numbers: list[np.ndarray] = []
        quantities: list[Mapping[str, np.ndarray]] = []
        above: list[np.ndarray] = []
        for group in groups:
            scores = clustering_scores(group.instance, found[group.rows])
            if scores is None:
                continue
            particles = particle_scores(group.instance, found[group.rows])
            table = np.stack(
                [
                    np.full(len(particles.voxels), scores.ari) if name == "ari" else getattr(particles, name)
                    for name in PARTICLE_SCORES
                ]
            )
            passed = table > self._config.cut
            self.events[group.number].append(scores)
            self._particles[group.number].append(passed.sum(axis=1).astype(np.int32))
            self._above[group.number] += (table[:, :, None] > self._cuts).sum(axis=1)
            numbers.append(np.full(len(particles.voxels), group.number))
            quantities.append(group.quantities)
            above.append(passed)
        if numbers:
            self._update_curves(np.concatenate(numbers), quantities, np.concatenate(above, axis=1))

    def _update_curves(
        self, numbers: Int64[np.ndarray, " K"], quantities: Sequence[Mapping[str, np.ndarray]], above: np.ndarray
    ) -> None:
        for (quantity, score), rates in self._rates.items():
            values = np.concatenate([own[quantity] for own in quantities])
            rates.update(numbers, values, above[PARTICLE_SCORES.index(score)])

    def summary(self) -> dict[str, Any]:
        """`summarise_clustering` of each class that had an event."""
        return {name: summarise_clustering(own) for name, own in zip(self._classes, self.events, strict=True) if own}

    def shares(self) -> dict[str, Any]:
        """Of each class: number of particles, and their shares above each cut, by score."""
        result = {}
        for number, name in enumerate(self._classes):
            particles = sum(scores.n_true for scores in self.events[number])
            if particles:
                shares = np.round(self._above[number] / particles, 6).tolist()
                result[name] = {"particles": particles, **dict(zip(PARTICLE_SCORES, shares, strict=True))}
        return {"cuts": self._cuts.tolist(), "per_class": result}

    def curves(self) -> dict[str, Any]:
        """Share of particles with a score above the cut in bins of each quantity, by score and class."""
        return {
            quantity: {
                "edges": list(edges),
                **{
                    score: {
                        name: plain_rates(self._rates[quantity, score].rates(number, LEVEL))
                        for number, name in enumerate(self._classes)
                        if self.events[number]
                    }
                    for score in _CURVES
                },
            }
            for quantity, edges in self._edges.items()
        }

    def by_event(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators (E, 9) of the means and shares of a class: see `names`."""
        events = self.events[number]
        scores = np.array([[getattr(one, name) for name in EVENT_SCORES] for one in events]).reshape(-1, 4)
        counts = np.array(self._particles[number]).reshape(-1, len(PARTICLE_SCORES))
        particles = np.array([one.n_true for one in events])[:, None]
        return (
            np.concatenate([scores, counts], axis=1),
            np.concatenate([np.ones_like(scores), np.broadcast_to(particles, counts.shape)], axis=1),
        )

    @staticmethod
    def names() -> tuple[str, ...]:
        """Names of the columns of `by_event`: means over events, then shares of particles."""
        return (*EVENT_SCORES, *(f"particles_{name}" for name in PARTICLE_SCORES))
