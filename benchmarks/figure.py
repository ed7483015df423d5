"""Figures of a run; matplotlib, because it writes them without a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.limits import Limits
from benchmarks.measure import MODES, CaseResult
from benchmarks.registry import REGISTRY
from benchmarks.spread import Spread

mpl.use("Agg")  # before pyplot looks for a display
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

__all__ = ["draw_comparison", "draw_curve"]


def draw_comparison(cases: Sequence[CaseResult], limits: Limits | None, path: Path) -> None:
    """Bars of time / limit (of milliseconds without limits), with quartiles, for every case and contestant."""
    names = [name for name in REGISTRY if any(name in case.contestants for case in cases)]
    figure, panels = plt.subplots(len(MODES), 1, figsize=(10, 7), sharex=True, layout="constrained")
    for panel, mode in zip(panels, MODES, strict=True):
        for index, name in enumerate(names):
            for place, case in enumerate(cases):
                found = case.contestants.get(name)
                if found is None or mode not in found.seconds:
                    continue
                unit = 1e-3 if limits is None else limits.flop_seconds(case.gflop, mode, REGISTRY[name].precision)
                spread = Spread.of(found.seconds[mode])
                value, low, high = spread.median / unit, spread.low / unit, spread.high / unit
                panel.bar(
                    place + 0.8 * ((index + 0.5) / len(names) - 0.5),
                    value,
                    0.8 / len(names),
                    color=f"C{index}",
                    yerr=[[value - low], [high - value]],
                )
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:g}")
        if limits is not None:
            panel.set_ylim(bottom=min(0.8, panel.get_ylim()[0]))
            panel.axhline(1.0, color="black", linewidth=1)
        panel.set_ylabel(f"{mode}: {'ms' if limits is None else 'time / limit of the machine'}")
        panel.grid(axis="y", which="both", alpha=0.3)
    colours = [Patch(color=f"C{index}", label=name) for index, name in enumerate(names)]
    figure.legend(handles=colours, ncols=len(names), loc="outside upper center", fontsize="small")
    panels[-1].set_xticks(np.arange(len(cases)), [case.name for case in cases])
    _save(figure, path)


def draw_curve(voxels: Sequence[int], seconds: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Time against voxels, per contestant and mode; straight lines of slope 1 are linear growth."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for index, (name, modes) in enumerate(seconds.items()):
        for mode, times in modes.items():
            style = "--" if mode == "plan" else "-"
            axes.plot(voxels[: len(times)], np.asarray(times) * 1e3, f"C{index}o{style}", label=f"{name} {mode}")
    axes.set(xscale="log", yscale="log", xlabel="voxels", ylabel="ms")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending))
    plt.close(figure)
