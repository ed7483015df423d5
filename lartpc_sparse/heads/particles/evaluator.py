"""Metrics of particles, beside those of the clusters that they are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.data.true_particles import TRUE_PARTICLES
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.particles.config import ParticlesConfig
from lartpc_sparse.heads.particles.matched import MatchedParticles, compare_matched, proton_metrics
from lartpc_sparse.heads.particles.output import SOURCES
from lartpc_sparse.metrics.clustering import ClusteringScores, clustering_scores
from lartpc_sparse.metrics.particles import summarise_values

__all__ = ["ParticleScores", "with_particle_metrics"]

_SCORES = ("ari", "purity", "efficiency", "sbd")
_SEMANTICS = {"": "predicted", "_true_semantics": "true"}


def with_particle_metrics(
    clusters: Evaluator,
    name: str,
    classes: Mapping[str, tuple[str, ...]],
    truth_classes: tuple[str, ...],
    config: ParticlesConfig | None,
) -> Evaluator:
    """The evaluator of a head's clusters, joined by one of its particles, if it makes any."""
    return clusters if config is None else _Both(clusters, name, classes, truth_classes)


class _Both(Evaluator):
    def __init__(
        self,
        clusters: Evaluator,
        name: str,
        classes: Mapping[str, tuple[str, ...]],
        truth_classes: tuple[str, ...],
    ) -> None:
        self.clusters = clusters
        self.particles = {
            semantics: ParticleScores(name, ending, classes, truth_classes) for ending, semantics in _SEMANTICS.items()
        }

    def update(self, prediction: Prediction) -> None:
        self.clusters.update(prediction)
        for scores in self.particles.values():
            scores.update(prediction)

    def result(self) -> dict[str, Any]:
        found = {semantics: scores.result() for semantics, scores in self.particles.items() if scores.events}
        return {**self.clusters.result(), "particles": found}


class ParticleScores:
    """Grouping, starts, directions, energies and types of the particles made with one source of semantics.

    Args:
        name: of the head.
        ending: of its columns and tables, see `SOURCES`.
        classes: of the head, each with the semantic classes it is made of.
        truth_classes: names of the values of the semantic truth.
    """

    def __init__(
        self, name: str, ending: str, classes: Mapping[str, tuple[str, ...]], truth_classes: tuple[str, ...]
    ) -> None:
        self.column, self.table = f"{name}/particle{ending}", f"{name}.particles{ending}"
        self.cluster = f"{name}/{next(column for column, own in SOURCES.items() if own == ending)}"
        self.classes, self.truth_classes = classes, truth_classes
        self.events = 0
        self._grouping: dict[str, dict[str, list[ClusteringScores]]] = defaultdict(lambda: defaultdict(list))
        self._matched: list[MatchedParticles] = []

    def update(self, prediction: Prediction) -> None:
        """Take one event into account; one without these particles or without true groups does not count."""
        if self.column not in prediction.columns or not {"semantic", "group"} <= set(prediction.truth):
            return
        self.events += 1
        truth = {name: values.astype(np.int64) for name, values in prediction.truth.items()}
        kind = regroup(truth["semantic"], self.truth_classes, self.classes)
        particle = prediction.columns[self.column].astype(np.int64)
        cluster = prediction.columns[self.cluster].astype(np.int64)
        table = prediction.tables[self.table]
        if "shower" in self.classes:
            rows = (kind == list(self.classes).index("shower")) & (truth["group"] >= 0)
            self._add("showers", truth["group"][rows], particle[rows], cluster[rows])
        if "interaction" in truth:
            found = np.append(table["interaction"].astype(np.int64), -1)[particle]
            rows = (kind >= 0) & (truth["interaction"] >= 0)
            self._add("interactions", truth["interaction"][rows], found[rows], particle[rows])
        true_table = prediction.tables.get(TRUE_PARTICLES, {})
        self._matched.append(
            compare_matched(
                truth,
                kind,
                prediction.energy,
                particle,
                table=table,
                true_table=true_table,
                classes=tuple(self.classes),
            )
        )

    def _add(
        self,
        what: str,
        truth: Int64[np.ndarray, " R"],
        found: Int64[np.ndarray, " R"],
        ungrouped: Int64[np.ndarray, " R"],
    ) -> None:
        for how, labels in (("found", found), ("not_grouped", ungrouped), ("all_in_one", np.zeros_like(found))):
            if (scores := clustering_scores(truth, labels)) is not None:
                self._grouping[what][how].append(scores)

    def result(self) -> dict[str, Any]:
        """The metrics as JSON-ready values; undefined ones are None."""
        matched = MatchedParticles.joined(self._matched)
        return {
            "grouping": {
                what: {
                    how: {
                        "events": len(scores),
                        **{name: float(np.mean([getattr(one, name) for one in scores])) for name in _SCORES},
                    }
                    for how, scores in by_how.items()
                }
                for what, by_how in self._grouping.items()
            },
            "matched": {
                name: {
                    quantity: summarise_values(getattr(matched, quantity)[matched.kind == number])
                    for quantity in ("start_distance", "direction_deg", "energy_ratio", "kinetic_ratio")
                }
                for number, name in enumerate(self.classes)
            },
            "proton_score": proton_metrics(matched),
        }
