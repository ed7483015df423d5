"""Draws docs/figures/wire_planes.png from the packaged sample and prints the tables of docs/wire_planes.md.

python docs/figures/wire_planes.py [--event 30] [--events 320] [--variations]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # before pyplot looks for a display
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Patch

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.report.palette import class_colours
from lartpc_sparse.simulate.wire_planes import WirePlanes, WirePlanesConfig
from lartpc_sparse.simulate.wire_planes.variation import VARIATIONS, VariationName

SEED = 0
HALF_WIDTH = 150
"""Wires and time pixels that are shown on either side of the middle of the charge."""


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--event", type=int, default=30, help="event of the training split that is drawn")
    parser.add_argument("--events", type=int, default=320, help="events of the training split that are counted")
    parser.add_argument("--variations", action="store_true", help="print what the detector variations change")
    options = parser.parse_args()
    if options.variations:
        print_variations(options.events)
        return
    source = source_of("none")
    drawn = source.make(SEED, options.event)
    figure, panels = plt.subplots(
        4, 2, figsize=(11, 15), layout="constrained", gridspec_kw={"height_ratios": (1, 1, 1, 0.6)}
    )
    for row, (plane, image) in zip(panels, drawn.items(), strict=False):
        draw_intensity(row[0], plane, image)
        draw_labels(row[1], plane, image)
    images = [source.make(SEED, index) for index in range(options.events)]
    draw_mip_intensity(panels[3, 0], images)
    fractions = class_fractions(images)
    draw_fractions(panels[3, 1], fractions, drawn["y"].classes)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=80)
    print_table(fractions, drawn["y"].classes, images)


def source_of(variation: VariationName) -> WirePlanes:
    """The training split of the sample as wire planes."""
    return WirePlanesConfig(reader=SampleConfig(), variation=variation).build()


def draw_intensity(axes: Axes, plane: str, image: Event) -> None:
    """Pixels coloured by intensity."""
    drawn = axes.scatter(
        *image.coords.T, c=image.energy, s=2.2, marker="s", lw=0, norm=LogNorm(10, 300), cmap="viridis"
    )
    axes.figure.colorbar(drawn, ax=axes, label="intensity, PIU")
    axes.set(title=f"plane {plane}: intensity")
    cut_out(axes, image)


def draw_labels(axes: Axes, plane: str, image: Event) -> None:
    """Pixels coloured by class; those of noise in black."""
    colours = [*class_colours(image.classes), "#000000"]
    axes.scatter(*image.coords.T, c=[colours[i] for i in image.labels["semantic"]], s=2.2, marker="s", lw=0)
    axes.legend(
        handles=[Patch(color=c, label=n) for c, n in zip(colours, [*image.classes, "noise"], strict=True)],
        fontsize="x-small",
        loc="lower right",
    )
    axes.set(title=f"plane {plane}: truth")
    cut_out(axes, image)


def cut_out(axes: Axes, image: Event) -> None:
    """Show the part of the image around the middle of the charge."""
    wire, row = np.median(image.coords[image.labels["semantic"] >= 0], axis=0)
    axes.set(
        xlim=(wire - HALF_WIDTH, wire + HALF_WIDTH),
        ylim=(row - HALF_WIDTH, row + HALF_WIDTH),
        xlabel="wire",
        ylabel="time pixel",
        aspect="equal",
    )


def draw_mip_intensity(axes: Axes, images: Sequence[Mapping[str, Event]]) -> None:
    """Intensity of the pixels of minimum-ionising particles."""
    for plane in images[0]:
        values = [image[plane].energy[image[plane].labels["semantic"] == 1] for image in images]
        axes.hist(np.concatenate(values), bins=np.arange(10, 150, 2), histtype="step", density=True, label=plane)
    axes.axvline(40, color="black", lw=1, ls="--")
    axes.set(title="pixels of MIPs", xlabel="intensity, PIU", ylabel="share per PIU")
    axes.legend()


def class_fractions(images: Sequence[Mapping[str, Event]]) -> dict[str, np.ndarray]:
    """Share of each class, and of noise at the end, in the pixels of each plane; and in the voxels."""
    classes = len(next(iter(images[0].values())).classes)
    columns = {plane: [image[plane].labels["semantic"] for image in images] for plane in images[0]}
    reader = SampleConfig(labels=("semantic",)).build()
    columns["3D"] = [reader.read(index).labels["semantic"] for index in range(len(images))]
    counts = {
        name: np.bincount(np.concatenate(column) % (classes + 1), minlength=classes + 1)
        for name, column in columns.items()
    }
    return {name: count / count.sum() for name, count in counts.items()}


def draw_fractions(axes: Axes, fractions: Mapping[str, np.ndarray], classes: Sequence[str]) -> None:
    """Bars of the class fractions."""
    for number, (name, values) in enumerate(fractions.items()):
        axes.bar(np.arange(len(classes)) + 0.2 * (number - 1.5), values[:-1], 0.2, label=name, color=f"C{number}")
    axes.set_xticks(np.arange(len(classes)), classes, fontsize="small")
    axes.set(title="class fractions, packaged sample", yscale="log", ylim=(3e-3, 1))
    axes.legend(ncols=4, fontsize="small")


def print_table(
    fractions: Mapping[str, np.ndarray], classes: Sequence[str], images: Sequence[Mapping[str, Event]]
) -> None:
    """The table of docs/wire_planes.md."""
    print("| | pixels an event |", " | ".join([*classes, "noise"]), "|")
    for name, values in fractions.items():
        pixels = np.mean([len(image[name]) for image in images]) if name in images[0] else float("nan")
        print(f"| {name} | {pixels:.0f} |", " | ".join(f"{100 * value:.2f}" for value in values), "|")


def print_variations(events: int) -> None:
    """Pixels and intensity of every variation, over those of the nominal detector."""
    nominal = totals(source_of("none"), events)
    print("| variation |", " | ".join(f"pixels {plane} | intensity {plane}" for plane in "uvy"), "|")
    for name in VARIATIONS:
        ratio = totals(source_of(name), events) / nominal
        print(f"| `{name}` |", " | ".join(f"{value:.3f}" for value in ratio.reshape(-1)), "|")


def totals(source: WirePlanes, events: int) -> np.ndarray:
    """Pixels, and mean intensity of the pixels that are not noise, of each plane."""
    images = [source.make(SEED, index) for index in range(events)]
    rows = []
    for plane in source.streams:
        pixels = np.concatenate([image[plane].energy for image in images])
        signal = np.concatenate([image[plane].labels["semantic"] >= 0 for image in images])
        rows.append((len(pixels), pixels[signal].mean()))
    return np.array(rows)


if __name__ == "__main__":
    main()
