"""Windows around recoils, kept for the report: the frame, its true light, and the pixels of either method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.signal.classical import Found

__all__ = ["Examples"]

HALF = 32
"""Half of the side of a window, pixels."""
_WANTED = ((1, 0.25), (1, 0.5), (1, 1.0), (1, 3.0), (0, 1.0), (0, 60.0), (0, 0.25), (0, 3.0), (1, 10.0), (1, 60.0))
"""Kind (1: nuclear) and energy in keV, by worth: the first recoil of each is shown."""


class Examples:
    """The first recoil of each of several kinds and energies, never chosen by how well it was found.

    Args:
        number: of windows.
    """

    def __init__(self, number: int) -> None:
        self._wanted = list(_WANTED[:number])
        self._rows: list[tuple[int, dict[str, Any]]] = []

    def offer(self, event: Event, prediction: Prediction, name: str, found: Mapping[str, Found]) -> None:
        """Take the windows of an image that are still wanted."""
        if not self._wanted:
            return
        kinds = np.asarray(event.particles["nuclear"]).astype(int)
        energies = np.asarray(event.particles["energy_kev"], dtype=np.float64)
        for place, wanted in [*enumerate(_WANTED)]:
            rows = np.flatnonzero((kinds == wanted[0]) & np.isclose(energies, wanted[1], rtol=0.05))
            if wanted in self._wanted and len(rows):
                self._wanted.remove(wanted)
                self._rows.append((place, _window(event, prediction, name, found, int(rows[0]))))

    def result(self) -> list[dict[str, Any]]:
        """The windows, JSON-ready."""
        return [window for _, window in sorted(self._rows, key=lambda row: row[0])]


def _window(event: Event, prediction: Prediction, name: str, found: Mapping[str, Found], row: int) -> dict[str, Any]:
    height, width = event.image_size
    binning = found["network"].clusters.binning
    side = min(2 * HALF, height, width)
    at = [int(event.particles[axis][row]) // binning for axis in ("row", "column")]
    first = [min(max(place - side // 2, 0), size - side) for place, size in zip(at, (height, width), strict=True)]
    window = np.s_[first[0] : first[0] + side, first[1] : first[1] + side]

    def cut(values: np.ndarray, coords: np.ndarray, digits: int, fill: float = 0.0) -> list[list[float]]:
        image = np.full((height, width), fill, dtype=np.float64)
        image[coords[:, 0], coords[:, 1]] = values
        rounded: list[list[float]] = np.round(image[window], digits).tolist()
        return rounded

    return {
        "nuclear": bool(event.particles["nuclear"][row]),
        "energy_kev": float(event.particles["energy_kev"][row]),
        "file_entry": prediction.key.entry,
        "row": first[0] * binning,
        "column": first[1] * binning,
        "binning": binning,
        "frame": cut(event.energy, event.coords, 2),
        "light": cut(event.labels["light"], event.coords, 2),
        "probability": cut(prediction.columns[f"{name}/probability"], prediction.coords, 2),
        "clusters": {method: cut(one.labels, one.coords, 0, -1.0) for method, one in found.items()},
    }
