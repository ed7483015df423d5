"""Draws simulated events: `python docs/figures/simulated_events.py FILES... --out FILE.png`."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from lartpc_sparse.data.class_colours import class_colours
from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import VoxelsConfig

COLOURS = dict(zip(SIX, class_colours(SIX), strict=True))


def main() -> None:
    """Two rows: the semantic classes, and the instances of the same events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", help="simulated events")
    parser.add_argument("--events", type=int, nargs="+", default=[0, 1, 2], help="which of them (default 0 1 2)")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/simulated_events.png"))
    arguments = parser.parse_args()
    reader = VoxelsConfig(files=tuple(arguments.files)).build()
    columns = len(arguments.events)
    figure = plt.figure(figsize=(4.4 * columns, 8.6), layout="constrained")
    for column, index in enumerate(arguments.events):
        event = reader.read(index)
        draw(figure.add_subplot(2, columns, column + 1, projection="3d"), event, by_class=True)
        draw(figure.add_subplot(2, columns, columns + column + 1, projection="3d"), event, by_class=False)
    handles = [plt.Line2D([], [], marker="o", ls="", color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(COLOURS), frameon=False)
    figure.savefig(arguments.out, dpi=75)


def draw(axes: plt.Axes, event: Event, *, by_class: bool) -> None:
    """Voxels of one event; size by energy."""
    if by_class:
        colours = np.array(
            [COLOURS[event.classes[code]] if code >= 0 else "black" for code in event.labels["semantic"]]
        )
        axes.set_title(f"{len(event)} voxels, {event.energy.sum():.0f} MeV", fontsize=10)
    else:
        groups = event.labels["group"]
        palette = plt.get_cmap("tab20")
        colours = np.array([palette(group % 20) if group >= 0 else (0.8, 0.8, 0.8, 1.0) for group in groups])
        axes.set_title(f"{len(np.unique(groups[groups >= 0]))} particles", fontsize=10)
    axes.scatter(*event.coords.T, c=colours, s=np.clip(event.energy * 2, 0.3, 6), lw=0)
    middle = (event.coords.min(axis=0) + event.coords.max(axis=0)) / 2
    half = np.ptp(event.coords, axis=0).max() / 2 + 1
    limits = {f"{axis}lim": (m - half, m + half) for axis, m in zip("xyz", middle, strict=True)}
    axes.set(**limits, xlabel="x", ylabel="y", zlabel="z")
    axes.tick_params(labelsize=6)


if __name__ == "__main__":
    main()
