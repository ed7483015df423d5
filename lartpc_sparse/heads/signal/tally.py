"""Sums over images of what one method found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from lartpc_sparse.heads.signal.evaluation import SignalEvaluationConfig
from lartpc_sparse.metrics.proportions import proportion
from lartpc_sparse.metrics.recoils import RecoilMatch

__all__ = ["Tally"]

_KINDS = ("electron", "nuclear")


class Tally:
    """Efficiency, fakes, integrals, pixels and times of one method.

    Args:
        config: energies and level of the intervals.
    """

    def __init__(self, config: SignalEvaluationConfig) -> None:
        self._config = config
        self.images = 0
        self._fakes = self._clusters = self._pixels = 0
        self._seconds: dict[str, float] = {}
        number = len(config.energies_kev)
        self._found = np.zeros((2, number), dtype=np.int64)
        self._total = np.zeros((2, number), dtype=np.int64)
        self._ratios: list[list[list[float]]] = [[[] for _ in range(number)] for _ in _KINDS]

    def add(
        self,
        particles: Mapping[str, np.ndarray],
        match: RecoilMatch,
        integral: Float32[np.ndarray, " K"],
        pixels: int,
        seconds: Mapping[str, float],
    ) -> None:
        """One image: its recoils, and the clusters with their integrals."""
        self.images += 1
        self._fakes += int(match.fake.sum())
        self._clusters += len(match.fake)
        self._pixels += pixels
        for stage, value in seconds.items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + value
        grid = np.log(np.array(self._config.energies_kev))
        energy = np.asarray(particles["energy_kev"], dtype=np.float64)
        nearest = np.abs(np.log(np.maximum(energy, 1e-9))[:, None] - grid).argmin(axis=1)
        for row, (kind, place) in enumerate(zip(np.asarray(particles["nuclear"]) > 0, nearest, strict=True)):
            self._total[int(kind), place] += 1
            cluster = int(match.cluster[row])
            if cluster >= 0:
                self._found[int(kind), place] += 1
                true = float(particles["light"][row])
                if true > 0:
                    self._ratios[int(kind)][place].append(float(integral[cluster]) / true)

    def result(self) -> dict[str, Any]:
        """Efficiencies with intervals, fakes, ratios, pixels and times; undefined ones are None."""
        images = max(self.images, 1)
        stages = {stage: value / images for stage, value in self._seconds.items()}
        return {
            "images": self.images,
            "recoils": proportion(int(self._found.sum()), int(self._total.sum()), self._config.level, "exact"),
            "clusters_per_image": self._clusters / images,
            "fakes_per_image": self._fakes / images,
            "pixels_to_clustering": self._pixels / images,
            "seconds": {**stages, "total": sum(stages.values())},
            **{kind: self._of_kind(number) for number, kind in enumerate(_KINDS)},
        }

    def _of_kind(self, kind: int) -> list[dict[str, Any]]:
        rows = []
        for place, energy in enumerate(self._config.energies_kev):
            if not self._total[kind, place]:
                continue
            ratios = np.array(self._ratios[kind][place])
            low, middle, high = np.quantile(ratios, [0.16, 0.5, 0.84]) if len(ratios) else (None, None, None)
            rows.append(
                {
                    "energy_kev": energy,
                    "efficiency": proportion(
                        int(self._found[kind, place]), int(self._total[kind, place]), self._config.level, "exact"
                    ),
                    "ratio_median": None if middle is None else float(middle),
                    "ratio_half_width_68": None if high is None or low is None else float((high - low) / 2),
                }
            )
        return rows
