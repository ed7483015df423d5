"""Draws augmentation.png: one event of the packaged sample before and after each augmentation.

Run from the repository root: python docs/figures/make_augmentation.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.dataset import EventDataset, event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.overlay import Overlay
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.transforms import (
    Crop,
    DeadRegions,
    Flip,
    Jitter,
    Mask,
    MergeDuplicates,
    RandomRegionsConfig,
    RandomVoxelLoss,
    Rotate90,
    SmearEnergy,
    Transform,
    Translate,
)
from lartpc_sparse.report.palette import class_colours

EVENT, SEED = 34, 8
SIZE = 2.0
COLOURS = dict(zip(SIX, class_colours(SIX), strict=True))
PANELS: dict[str, Transform] = {
    "flip": Flip(axes=(0,), probability=1.0),
    "rotate90": Rotate90(axes=(0, 1)),
    "translate, max_shift 200": Translate(200),
    "jitter, max_shift 8, probability 0.5": Jitter(8, 0.5),
    "smear_energy, relative 0.5 (colour: energy)": SmearEnergy(relative=0.5),
    "random_voxel_loss, probability 0.7": RandomVoxelLoss(0.7),
    "mask, block 48, probability 0.3": Mask(48, 0.3),
    "dead_regions, slabs and a box": DeadRegions(
        fixed=(((240, 260), None, None), ((640, 660), None, None)),
        random=(
            RandomRegionsConfig(axes=(1,), count=(4, 4), width=(15, 40)),
            RandomRegionsConfig(axes=(0, 1), width=(120, 160)),
        ),
    ),
    "crop, size 320, shift_to_origin": Crop(320, shift_to_origin=True),
}


def draw(axes: Axes, event: Event, title: str, *, by_energy: bool = False) -> None:
    """The event seen along its last axis; voxels coloured by class, or by energy."""
    order = np.argsort(event.energy)
    x, y = event.coords[order, 0], event.coords[order, 1]
    if by_energy:
        axes.scatter(x, y, s=SIZE, c=np.log10(event.energy[order] + 0.05), cmap="viridis", lw=0, vmin=-1.3, vmax=0.7)
    else:
        palette = np.array([COLOURS[name] for name in event.classes])
        axes.scatter(x, y, s=SIZE, c=palette[event.labels["semantic"][order]], lw=0)
    axes.set_xlim(0, event.image_size[0])
    axes.set_ylim(0, event.image_size[1])
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=6)


def main() -> None:
    """Writes the figure beside this script."""
    reader = SampleConfig(split="test").build()
    raw = reader.read(EVENT)
    event = MergeDuplicates()(raw, event_rng(SEED, 0, EVENT, 0))
    figure, grid = plt.subplots(3, 4, figsize=(11, 8.6), layout="constrained")
    panels = iter(grid.flat)
    draw(next(panels), event, f"{Path(event.key.file).name} entry {event.key.entry}, before")
    for position, (title, transform) in enumerate(PANELS.items()):
        after = transform(event, event_rng(SEED, 0, EVENT, position))
        full_title = f"{title}\n{len(after)} of {len(event)} voxels"
        draw(next(panels), after, full_title, by_energy=isinstance(transform, SmearEnergy))
    data = EventDataset(reader, [], seed=SEED, overlay=Overlay(reader, (2, 2), 1.0))
    overlaid = data[0, EVENT]
    draw(next(panels), overlaid, f"overlay of two more events\n{len(overlaid)} voxels")
    axes = next(panels)
    axes.scatter(overlaid.coords[:, 0], overlaid.coords[:, 1], s=SIZE, c=overlaid.labels["overlay"], cmap="brg", lw=0)
    axes.set(xlim=(0, overlaid.image_size[0]), ylim=(0, overlaid.image_size[1]), aspect="equal")
    axes.set_title("the same, coloured by the label `overlay`\n(number of the event)", fontsize=8)
    axes.tick_params(labelsize=6)
    marks = [Line2D([], [], marker="o", ls="", ms=4, color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=8, frameon=False)
    figure.savefig(Path(__file__).with_name("augmentation.png"), dpi=95)


if __name__ == "__main__":
    main()
