"""Accuracy of a semantic head against quantities of voxels and events, and the calibration of its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.vertices import VERTEX_TABLE
from lartpc_sparse.heads.semantic_evaluation import SemanticEvaluationConfig
from lartpc_sparse.metrics.binned_rates import BinnedRates, Rates
from lartpc_sparse.metrics.calibration import Calibration
from lartpc_sparse.metrics.segmentation import track_shower_members
from lartpc_sparse.metrics.surroundings import cluster_sizes, distance_to_other_class, distance_to_points

__all__ = ["LEVEL", "SemanticCurves", "plain_rates"]

LEVEL = 0.68
"""Level of confidence of the intervals of the bins."""

Quantity = Callable[[Prediction, Int64[np.ndarray, " N"]], Float[np.ndarray, " N"]]


class SemanticCurves:
    """Collects the curves event by event, in memory that does not depend on the number of events.

    Args:
        classes: of the head.
        config: bins.
        dim: number of axes of the images.
    """

    def __init__(self, classes: Sequence[str], config: SemanticEvaluationConfig, dim: int) -> None:
        bins = config.bins
        energy, unit = ("energy of the voxel", "MeV") if dim == 3 else ("intensity of the pixel", "")
        limit = bins.other_class_distance[-1] if bins.other_class_distance else 0.0
        wanted: tuple[tuple[str, str, str, tuple[float, ...], Quantity], ...] = (
            ("energy", energy, unit, bins.energy_edges(dim), lambda p, _: p.energy),
            ("event_voxels", "size of the event", "voxels", bins.event_voxels, _event_voxels),
            ("cluster_size", "size of the true cluster", "voxels", bins.cluster_size, _cluster_size),
            ("vertex_distance", "distance to the nearest vertex", "voxels", bins.vertex_distance, _vertex_distance),
            (
                "other_class_distance",
                "distance to the nearest voxel of another true class",
                "voxels",
                bins.other_class_distance,
                lambda p, truth: distance_to_other_class(p.coords, truth, limit),
            ),
        )
        self._classes = tuple(classes)
        self._titles = {name: (title, unit) for name, title, unit, _, _ in wanted}
        self._edges = {name: edges for name, _, _, edges, _ in wanted if edges}
        self._quantities = {name: quantity for name, *_, quantity in wanted}
        self._rates = {name: BinnedRates(edges, len(classes)) for name, edges in self._edges.items()}
        self._calibration = Calibration(len(classes), config.calibration_bins)
        self._two = _two_class_members(classes)
        self._two_calibration = Calibration(2, config.calibration_bins)
        self._with_vertices = self._events = 0

    def update(
        self,
        prediction: Prediction,
        truth: Int64[np.ndarray, " N"],
        label: Int64[np.ndarray, " N"],
        probability: Float[np.ndarray, "N K"] | None,
    ) -> None:
        """Take one event into account.

        Args:
            prediction: the event.
            truth: true class, -1 not labelled.
            label: predicted class, -1 none, which is wrong.
            probability: scores of the classes; NaN where there is no prediction.
        """
        self._events += 1
        self._with_vertices += bool(len(_vertices(prediction)))
        right = label == truth
        for name, rates in self._rates.items():
            rates.update(truth, self._quantities[name](prediction, truth), right)
        if probability is not None:
            self._calibration.update(truth, probability)
            if self._two is not None:
                self._two_calibration.update(*_as_two(truth, probability, self._two))

    def result(self) -> dict[str, Any]:
        """`curves` and `calibration`, ready for JSON."""
        return {
            "curves": {name: self._curve(name) for name in self._rates},
            "events_with_vertex": self._with_vertices,
            "calibration": self._calibrations(),
        }

    def _curve(self, name: str) -> dict[str, Any]:
        title, unit = self._titles[name]
        rates = self._rates[name]
        return {
            "title": title,
            "unit": unit,
            "edges": list(self._edges[name]),
            "all": plain_rates(rates.rates(None, LEVEL)),
            "per_class": {label: plain_rates(rates.rates(k, LEVEL)) for k, label in enumerate(self._classes)},
        }

    def _calibrations(self) -> dict[str, Any]:
        def entry(found: tuple[Rates, dict[str, Any]]) -> dict[str, Any]:
            return {**found[1], **plain_rates(found[0])}

        result: dict[str, Any] = {
            "all": entry(self._calibration.top(LEVEL)),
            "per_class": {name: entry(self._calibration.of_class(k, LEVEL)) for k, name in enumerate(self._classes)},
        }
        if self._two is not None:
            result["shower_score"] = entry(self._two_calibration.of_class(1, LEVEL))
        return result


def _event_voxels(prediction: Prediction, truth: Int64[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return np.full(len(truth), float(len(prediction)))


def _cluster_size(prediction: Prediction, truth: Int64[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    if "instance" not in prediction.truth:
        return np.full(len(truth), np.nan)
    return cluster_sizes(truth, prediction.truth["instance"])


def _vertex_distance(prediction: Prediction, truth: Int64[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    del truth
    return distance_to_points(prediction.coords, _vertices(prediction))


def _vertices(prediction: Prediction) -> Float[np.ndarray, "V D"]:
    """None in a file that was written before vertices were stored."""
    none = np.empty((0, prediction.coords.shape[1]), dtype=np.float32)
    return np.asarray(prediction.tables.get(VERTEX_TABLE, {}).get("position", none))


def _two_class_members(classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    track, shower = track_shower_members(classes)
    return (np.array(track), np.array(shower)) if track and shower else None


def _as_two(
    truth: Int64[np.ndarray, " N"], probability: Float[np.ndarray, "N K"], members: tuple[np.ndarray, np.ndarray]
) -> tuple[Int64[np.ndarray, " N"], Float[np.ndarray, "N 2"]]:
    """Truth and scores of track (0) against shower (1); the scores of the classes of each are added up."""
    two = np.full(len(truth), -1, dtype=np.int64)
    for number, group in enumerate(members):
        two[np.isin(truth, group)] = number
    return two, np.stack([probability[:, group].sum(axis=1) for group in members], axis=1)


def plain_rates(rates: Rates) -> dict[str, list[Any]]:
    """Columns of the bins; NaN as None."""
    values = {"mean": rates.mean, "rate": rates.rate, "low": rates.low, "high": rates.high}
    return {
        "n": rates.n.tolist(),
        **{
            name: [float(f"{value:.6g}") if np.isfinite(value) else None for value in column.tolist()]
            for name, column in values.items()
        },
    }
