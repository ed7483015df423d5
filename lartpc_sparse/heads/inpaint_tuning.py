"""Search for the activation threshold of the inpainting head, and calibration of its charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, Shaped
from scipy.spatial import cKDTree
from torch import Tensor

from lartpc_sparse.cluster.gaps import Fill
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.heads.inpaint_charge import fitted_factor
from lartpc_sparse.heads.inpaint_crossings import GapTruth, find_crossings
from lartpc_sparse.heads.inpaint_fill import crossing_thresholds
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

    Crossings have the thresholds that `crossing_share` gives them all the while. `InpaintConfig.tune` says which of
    the two is chosen. `calibration` is such that the median over true tracks through a gap of predicted charge / true
    charge is 1, as `evaluate` counts them, but without voxels farther than `NEAR` from all true ones; with many tracks
    and gaps of several widths it goes with the width (`fitted_factor`). It stays where too few tracks cross a gap.

    Args:
        config: of the head.
    """

    def __init__(self, config: InpaintConfig) -> None:
        self.config = config
        self.counts = VoxelCounts.none(len(THRESHOLDS))
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
        fillable = self._fillable(columns, candidate, batch.batch_index().cpu().numpy())
        self.counts = self.counts + count_activations(active, fillable, THRESHOLDS)
        if plain is None:
            return
        lost = -int(active.sum())
        for number, (event, masked) in enumerate(zip(plain.events, batch.events, strict=True)):
            if masked.gaps is None or not len(masked.gaps):
                continue
            start, stop = batch.offsets[number : number + 2].tolist()
            rows = start + np.flatnonzero(candidate[start:stop])
            if self._calibrates and len(self._seen) < MOST_EVENTS and self._kept < MOST_CANDIDATES:
                self._kept += len(rows)
                self._seen.append(_Seen(event, masked.gaps, {name: column[rows] for name, column in columns.items()}))
            lost += int((box_of_voxel(event.coords, masked.gaps) >= 0).sum())
        missed = np.full(len(THRESHOLDS), lost, dtype=np.int64)
        nothing = np.zeros_like(missed)
        self.counts = self.counts + VoxelCounts(nothing, nothing, missed)

    def _fillable(
        self, columns: Mapping[str, np.ndarray], candidate: Bool[np.ndarray, " N"], event: Int64[np.ndarray, " N"]
    ) -> Float32[np.ndarray, " K"]:
        """Probability of the candidates, 0 for those below the threshold of their crossing whatever the common one."""
        probability: Float32[np.ndarray, " K"] = columns["probability"][candidate]
        gap = columns["gap"][candidate].astype(np.int64)
        if self.config.crossing_share == 0 or not len(gap):
            return probability
        of_event = gap + event[candidate] * (int(gap.max()) + 1)
        own = crossing_thresholds(
            columns["coords"][candidate], probability, of_event, THRESHOLDS[0], self.config.crossing_share
        )
        return np.where(probability >= own, probability, np.float32(0.0))

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        f1 = np.array([value or 0.0 for value in self.counts.scores()["f1"]])
        trials = [{"threshold": t, "f1": float(value)} for t, value in zip(THRESHOLDS, f1, strict=True)]
        known = int((self.counts.true_positive + self.counts.false_negative).max()) > 0
        threshold, settings = self.config.threshold, dict[str, Any]()
        if "threshold" in self.config.tune:
            threshold = THRESHOLDS[int(f1.argmax())] if known else threshold
            settings["threshold"] = threshold
        tracks = [track for seen in self._seen for track in self._charge_ratios(seen, threshold)]
        factor = fitted_factor([width for width, _ in tracks], [ratio for _, ratio in tracks])
        if factor is not None:
            settings["calibration"] = factor
        return Tuned(settings, trials)

    def _charge_ratios(self, seen: _Seen, threshold: float) -> Iterator[tuple[float, float]]:
        """Width of the gap and predicted / true charge of the tracks through the gaps of one event.

        Charge is in the unit that the network learned.
        """
        event, columns = seen.event, seen.columns
        tracks = {number: name for number, name in enumerate(event.classes) if name in TRACK_NAMES}
        fill = self.config.model_copy(update={"threshold": threshold}).fill_of(columns)
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
        for crossing in crossings:
            if crossing.charge > 0:
                yield crossing.width, crossing.scores["network"].charge / crossing.charge
