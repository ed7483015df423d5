"""Search for the activation threshold of the inpainting head, and calibration of its charge."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from scipy.spatial import cKDTree
from torch import Tensor

from lartpc_sparse.cluster.gaps import Fill
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.heads.by_gap_width import ByGapWidth, gap_widths, width_around
from lartpc_sparse.heads.inpaint_charge import fitted_factor
from lartpc_sparse.heads.inpaint_crossings import GapTruth, find_crossings
from lartpc_sparse.heads.inpaint_fill import crossing_thresholds
from lartpc_sparse.heads.inpaint_threshold import fitted_threshold, threshold_trials
from lartpc_sparse.heads.tuning import Tuned, Tuner
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts, count_activations

if TYPE_CHECKING:
    from lartpc_sparse.heads.inpaint import InpaintConfig

__all__ = ["InpaintTuner"]

MOST_EVENTS = 1000
"""Of the events with gaps, the first ones calibrate; they are kept in memory."""
MOST_CANDIDATES = 30_000_000
"""As many candidates at most do, and those of one more event: 0.8 GB."""
NEAR = 2.0
"""Charge counts for a track at most this far from a true voxel, voxels."""


@dataclass(frozen=True)
class _Seen:
    """One event: as it was before its gaps were emptied, and what the network says of the candidates."""

    event: Event
    gaps: np.ndarray
    columns: Mapping[str, Shaped[np.ndarray, "K ..."]]


class InpaintTuner(Tuner):
    """The threshold with the highest F1 over all true voxels of the gaps; the factor that makes charge right.

    With gaps of several widths and voxels enough the threshold goes with the width (`fitted_threshold`).
    Crossings have the thresholds that `crossing_share` gives them all the while. `InpaintConfig.tune` says which of
    the two is chosen. `calibration` is such that the median over true tracks through a gap of predicted charge / true
    charge is 1, as `evaluate` counts them, but without voxels farther than `NEAR` from all true ones; with many tracks
    and gaps of several widths it goes with the width (`fitted_factor`). It stays where too few tracks cross a gap.

    Args:
        config: of the head.
    """

    def __init__(self, config: InpaintConfig) -> None:
        self.config = config
        self._counts: dict[float, VoxelCounts] = {}
        self._calibrates = "calibration" in config.tune
        self._seen: list[_Seen] = []
        self._kept = 0

    def update(self, output: Mapping[str, Tensor], batch: Batch, plain: Batch | None = None) -> None:
        """See `Tuner.update`; without `plain` true voxels that are no candidates do not count, and nor does charge."""
        candidate = batch.label("candidate").cpu().numpy().astype(bool)
        active = batch.label("active").cpu().numpy().astype(bool)[candidate]
        columns = {
            "coords": batch.coords.cpu().numpy(),
            "gap": batch.label("gap").cpu().numpy(),
            "probability": torch.sigmoid(output["logit"]).cpu().numpy(),
            "energy": output["energy"].cpu().numpy(),
        }
        widths = self._widths(columns, batch)[candidate]
        fillable = self._fillable(columns, candidate, batch.batch_index().cpu().numpy())
        for width in np.unique(widths):
            own = widths == width
            self._add(width, count_activations(active[own], fillable[own], THRESHOLDS))
        if plain is None:
            return
        offered = Counter(widths[active].tolist())
        for number, (event, masked) in enumerate(zip(plain.events, batch.events, strict=True)):
            if masked.gaps is None or not len(masked.gaps):
                continue
            start, stop = batch.offsets[number : number + 2].tolist()
            rows = start + np.flatnonzero(candidate[start:stop])
            if self._calibrates and len(self._seen) < MOST_EVENTS and self._kept < MOST_CANDIDATES:
                self._kept += len(rows)
                self._seen.append(_Seen(event, masked.gaps, {name: column[rows] for name, column in columns.items()}))
            gap = box_of_voxel(event.coords, masked.gaps)
            offered.subtract(width_around(masked.gaps, gap[gap >= 0]).tolist())
        nothing = np.zeros(len(THRESHOLDS), dtype=np.int64)
        for width, more in offered.items():
            self._add(width, VoxelCounts(nothing, nothing, nothing - more))

    def _add(self, width: float, counts: VoxelCounts) -> None:
        known = self._counts.get(float(width), VoxelCounts.none(len(THRESHOLDS)))
        self._counts[float(width)] = known + counts

    def _widths(self, columns: Mapping[str, np.ndarray], batch: Batch) -> Float64[np.ndarray, " N"]:
        """Width of the gap of every candidate; of other voxels anything."""
        bounds = itertools.pairwise(batch.offsets.tolist())
        gap = np.maximum(columns["gap"], 0)
        each = zip(batch.events, bounds, strict=True)
        return np.concatenate([width_around(event.gaps, gap[start:stop]) for event, (start, stop) in each])

    def _fillable(
        self, columns: Mapping[str, np.ndarray], candidate: Bool[np.ndarray, " N"], event: Int64[np.ndarray, " N"]
    ) -> Float32[np.ndarray, " K"]:
        """Probability of the candidates, 0 for those below the threshold of their crossing whatever the common one."""
        probability: Float32[np.ndarray, " K"] = columns["probability"][candidate]
        gap = columns["gap"][candidate].astype(np.int64)
        if self.config.crossing_share == 0 or not len(gap):
            return probability
        of_event = gap + event[candidate] * (int(gap.max()) + 1)
        lowest = np.full(len(probability), THRESHOLDS[0])
        own = crossing_thresholds(
            columns["coords"][candidate], probability, of_event, lowest, self.config.crossing_share
        )
        return np.where(probability >= own, probability, np.float32(0.0))

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        threshold, settings = self.config.threshold, dict[str, Any]()
        if "threshold" in self.config.tune:
            threshold = fitted_threshold(self._counts) or threshold
            settings["threshold"] = threshold
        tracks = [track for seen in self._seen for track in self._charge_ratios(seen, threshold)]
        factor = fitted_factor([width for width, _ in tracks], [ratio for _, ratio in tracks])
        if factor is not None:
            settings["calibration"] = factor
        return Tuned(settings, threshold_trials(self._counts))

    def _charge_ratios(self, seen: _Seen, threshold: ByGapWidth) -> Iterator[tuple[float, float]]:
        """Width of the gap and predicted / true charge of the tracks through the gaps of one event.

        Charge is in the unit that the network learned.
        """
        event, columns = seen.event, seen.columns
        tracks = {number: name for number, name in enumerate(event.classes) if name in TRACK_NAMES}
        fill = self.config.model_copy(update={"threshold": threshold}).fill_of(
            columns, width_around(seen.gaps, columns["gap"])
        )
        inside = box_of_voxel(event.coords, seen.gaps) >= 0
        found = fill > 0
        if found.any() and inside.any():  # what lies farther off belongs to something else, which was there or made up
            distance = cKDTree(event.coords[inside]).query(columns["coords"][found])[0]
            found[found] = distance <= NEAR
        prediction = Prediction(event.key, event.coords, event.energy, truth=dict(event.labels), columns={}, tables={})
        gap = box_of_voxel(event.coords, seen.gaps).astype(np.int32)
        crossings = find_crossings(
            prediction,
            GapTruth.of(prediction, gap, seen.gaps),
            {"network": Fill(columns["coords"][found], fill[found])},
            tracks,
            earth_mover=False,
            min_voxels=self.config.evaluate.min_track_voxels,
        )
        widths = gap_widths(seen.gaps)
        for crossing in crossings:
            if crossing.charge > 0:
                yield float(widths[crossing.gap]), crossing.scores["network"].charge / crossing.charge
