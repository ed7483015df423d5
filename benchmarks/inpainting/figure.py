"""Precision against recall of the network over its thresholds, and of what needs none beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot looks for a display
import matplotlib.pyplot as plt

__all__ = ["draw_curves"]

_MARKERS = {
    "line": ("s", "line, own ends"),
    "reflection": ("^", "reflection"),
}


def draw_curves(found: dict[str, Any], title: str, path: Path) -> None:
    """One panel a width.

    Args:
        found: of `measure_gaps`.
        title: over the figure.
        path: of the figure; written as png and svg.
    """
    figure, panels = plt.subplots(
        1, len(found), figsize=(4.0 * len(found), 3.8), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for panel, (width, metrics) in zip(panels[0], found.items(), strict=True):
        curve = metrics["curve"]
        known = [
            (recall, precision)
            for recall, precision in zip(curve["recall"], curve["precision"], strict=True)
            if recall is not None and precision is not None
        ]
        panel.plot(*zip(*known, strict=True), color="C0", label="network, all thresholds")
        panel.plot(metrics["recall"], metrics["precision"], "o", color="C0", label="network, as filled")
        points = metrics["baselines"]
        for number, (name, (marker, label)) in enumerate(_MARKERS.items(), start=1):
            if name in points and points[name]["precision"] is not None:
                panel.plot(points[name]["recall"], points[name]["precision"], marker, color=f"C{number}", label=label)
        panel.set(title=f"gap of {width} voxels", xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("precision")
    handles, labels = panels[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle(title)
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=120)
    plt.close(figure)
