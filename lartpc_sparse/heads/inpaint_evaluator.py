"""Metrics of the inpainting head: gaps, tracks that cross them, and baselines on the same gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64, Shaped
from pydantic import Field, PositiveFloat

from lartpc_sparse.cluster.gaps import BridgesConfig, Fill, own_ends_fill, reflection_fill
from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.transforms import rows_of
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.by_gap_width import ByGapWidth, gap_widths, value_at_width, width_around
from lartpc_sparse.heads.inpaint_crossings import GapTruth, find_crossings, owners
from lartpc_sparse.metrics.gap_crossings import Crossing, Exact, crossing_summary
from lartpc_sparse.metrics.inpainting import GapResult, GapScore, inpainting_summary, score_gap
from lartpc_sparse.schema import Config

__all__ = ["InpaintEvaluationConfig", "InpaintEvaluator"]

OURS = "network"
_FAR = 1 << 30
_SURE = 0.5
"""Baselines fill with probability 1, or not at all."""


class InpaintEvaluationConfig(Config):
    """What is measured beside the scores of the gaps."""

    baselines: bool = Field(True, description="fill the same gaps with straight lines and with reflections")
    line: BridgesConfig = Field(BridgesConfig(), description="which ends the straight-line baseline joins")
    tracks: bool = Field(True, description="score every true track that crosses a gap")
    min_track_voxels: int = Field(3, ge=1, description="that a track must have on each side of the gap")
    earth_mover: bool = Field(True, description="earth mover's distance of the tracks, some 10 ms each")
    width_edges: tuple[float, ...] = Field((1, 5, 10, 15, 20, 30), description="bins in the gap's width, voxels")
    angle_edges: tuple[float, ...] = Field((0, 20, 40, 60, 75), description="bins in the crossing angle, degrees")
    vertex_edges: tuple[float, ...] = Field((0, 10, 30, 100), description="bins in the distance to the vertex, voxels")
    voxel_mm: PositiveFloat = Field(3.0, description="edge of a voxel, mm, for dE/dx")


class InpaintEvaluator(Evaluator):
    """Scores of all gaps, of the classes in them, and of the tracks that cross them.

    Args:
        config: what is measured.
        name: of the head.
        truth_classes: names of the values of the semantic truth.
        threshold: of the activation probability, where a prediction does not say what it fills.
    """

    def __init__(
        self, config: InpaintEvaluationConfig, name: str, truth_classes: tuple[str, ...], threshold: ByGapWidth
    ) -> None:
        self.config = config
        self.name = name
        self.truth_classes = truth_classes
        self.threshold = threshold
        self._scores: list[GapScore] = []
        self._baselines: dict[str, list[GapScore]] = {"nothing": []}
        self._crossings: list[Crossing] = []
        self._classes: dict[str, dict[str, Exact]] = {}

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        table = prediction.tables.get(self.name)
        if table is None or "active" not in table:
            return
        gap, boxes = prediction.columns.get(f"{self.name}/gap"), prediction.tables.get(f"{self.name}.boxes")
        if gap is None or boxes is None:  # written before the gaps were kept: the candidates are all that is known
            for number in np.unique(table["gap"]):
                self._add_gap(_candidates(table, table["gap"] == number), 0.0)
            return
        if not len(boxes["low"]):
            return
        edges = np.stack([boxes["low"], boxes["high"]], axis=1).astype(np.int64)
        truth = GapTruth.of(prediction, gap, edges)
        fills = self._fills(prediction, truth, table)
        for number, width in enumerate(gap_widths(edges)):
            self._add_gap(_whole_gap(prediction, truth, table, number), width)
            for name, fill in fills.items():
                if name != OURS:
                    filled = box_of_voxel(fill.coords, edges) == number
                    own = Fill(fill.coords[filled], fill.energy[filled])
                    result = _filled_gap(prediction, truth, own, number)
                    self._baselines.setdefault(name, []).append(score_gap(result, _SURE))
        self._add_classes(prediction, truth, fills)
        if self.config.tracks:
            tracks = {number: name for number, name in enumerate(self.truth_classes) if name in TRACK_NAMES}
            self._crossings += find_crossings(
                prediction,
                truth,
                fills,
                tracks,
                earth_mover=self.config.earth_mover,
                min_voxels=self.config.min_track_voxels,
            )

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        found: dict[str, Any] = {
            "kind": "inpaint",
            **inpainting_summary(self._scores, self._baselines, self.threshold),
            "classes": {
                name: {method: counts.scores() for method, counts in methods.items()}
                for name, methods in self._classes.items()
            },
        }
        if self.config.tracks and self._crossings:
            edges = {
                "width": self.config.width_edges,
                "angle": self.config.angle_edges,
                "vertex_distance": self.config.vertex_edges,
            }
            found["tracks"] = crossing_summary(self._crossings, edges, self.config.voxel_mm / 10)
        return found

    def _add_gap(self, gap: GapResult, width: float) -> None:
        threshold = float(value_at_width(self.threshold, np.array([width]))[0])
        self._scores.append(score_gap(gap, threshold))
        self._baselines["nothing"].append(score_gap(gap.unfilled(), _SURE))

    def _fills(
        self, prediction: Prediction, truth: GapTruth, table: Mapping[str, Shaped[np.ndarray, "K ..."]]
    ) -> dict[str, Fill]:
        chosen = _filled(table)
        if chosen is None:
            widths = width_around(truth.boxes, table["gap"])
            chosen = table["probability"].astype(np.float64) >= value_at_width(self.threshold, widths)
        fills = {OURS: Fill(table["coords"][chosen], _energy(table)[chosen])}
        if self.config.baselines:
            outside = prediction.coords[truth.outside], prediction.energy[truth.outside]
            size = (_FAR,) * prediction.coords.shape[1]
            fills["line"] = own_ends_fill(*outside, truth.boxes, size, self.config.line)
            fills["reflection"] = reflection_fill(*outside, truth.boxes, size)
        return fills

    def _add_classes(self, prediction: Prediction, truth: GapTruth, fills: Mapping[str, Fill]) -> None:
        """Counts by class; a voxel made up is of the class of the nearest true one in its gap."""
        true = prediction.coords[truth.inside]
        semantic = truth.semantic[truth.inside]
        for method, fill in fills.items():
            owner = owners(fill.coords, box_of_voxel(fill.coords, truth.boxes), true, truth.gap)
            right = rows_of(fill.coords, true) >= 0
            of_fill = np.where(owner >= 0, np.append(semantic, -1)[owner], -1)
            for number, name in enumerate(self.truth_classes):
                found = int((right & (of_fill == number)).sum())
                counts = Exact(
                    found, int((~right & (of_fill == number)).sum()), int((semantic == number).sum()) - found
                )
                methods = self._classes.setdefault(name, {})
                methods[method] = methods.get(method, Exact()) + counts


def _energy(table: Mapping[str, Shaped[np.ndarray, "K ..."]]) -> Float[np.ndarray, " K"]:
    found: Float[np.ndarray, " K"] = table["fill"] if "fill" in table else table["energy"]
    return found


def _filled(table: Mapping[str, Shaped[np.ndarray, "K ..."]]) -> Bool[np.ndarray, " K"] | None:
    found: Bool[np.ndarray, " K"] | None = table["fill"] > 0 if "fill" in table else None
    return found


def _candidates(table: Mapping[str, Shaped[np.ndarray, "K ..."]], rows: Bool[np.ndarray, " K"]) -> GapResult:
    filled = _filled(table)
    return GapResult(
        coords=table["coords"][rows],
        active_true=table["active"][rows].astype(bool),
        probability=table["probability"][rows],
        energy_true=table["target_energy"][rows],
        energy_predicted=_energy(table)[rows],
        filled=None if filled is None else filled[rows],
    )


def _whole_gap(
    prediction: Prediction, truth: GapTruth, table: Mapping[str, Shaped[np.ndarray, "K ..."]], number: int
) -> GapResult:
    """The candidates of a gap, and the true voxels that were none, with probability 0."""
    rows, filled = table["gap"] == number, _filled(table)
    offered = _Offered(
        table["coords"][rows],
        table["probability"][rows],
        _energy(table)[rows],
        None if filled is None else filled[rows],
    )
    return _with_truth(offered, prediction, truth, number)


def _filled_gap(prediction: Prediction, truth: GapTruth, fill: Fill, number: int) -> GapResult:
    sure = np.ones(len(fill.coords), dtype=np.float32)
    return _with_truth(_Offered(fill.coords, sure, fill.energy), prediction, truth, number)


@dataclass(frozen=True)
class _Offered:
    """Voxels of one gap and what is said of them; the attributes are those of `GapResult`."""

    coords: Int32[np.ndarray, "K D"]
    probability: Float[np.ndarray, " K"]
    energy: Float[np.ndarray, " K"]
    filled: Bool[np.ndarray, " K"] | None = None


def _with_truth(offered: _Offered, prediction: Prediction, truth: GapTruth, number: int) -> GapResult:
    own = truth.inside[truth.gap == number]
    true, true_energy = prediction.coords[own], prediction.energy[own]
    row: Int64[np.ndarray, " T"] = rows_of(true, offered.coords)
    missed = row < 0
    active = np.zeros(len(offered.coords), dtype=np.bool_)
    held = np.zeros(len(offered.coords), dtype=np.float32)
    active[row[~missed]] = True
    np.add.at(held, row[~missed], true_energy[~missed])
    nothing = np.zeros(int(missed.sum()), dtype=np.float32)
    return GapResult(
        coords=np.concatenate([offered.coords, true[missed]]),
        active_true=np.concatenate([active, np.ones(len(nothing), dtype=np.bool_)]),
        probability=np.concatenate([offered.probability, nothing]),
        energy_true=np.concatenate([held, true_energy[missed].astype(np.float32)]),
        energy_predicted=np.concatenate([offered.energy, nothing]),
        filled=None if offered.filled is None else np.concatenate([offered.filled, nothing > 0]),
    )
