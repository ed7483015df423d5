"""The section with the curves of loss and accuracy and the learning rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lartpc_sparse.report.blocks import Figure, FigureGrid, Note, Section
from lartpc_sparse.report.charts import Line, lines
from lartpc_sparse.report.palette import NEUTRAL, TRAIN, VALIDATION
from lartpc_sparse.report.text import percent
from lartpc_sparse.report.training_log import Curve, TrainingLog, running_mean, thinned_rows

__all__ = ["training_section"]

MAX_POINTS = 1500
MAX_EPOCHS = 6
"""Numbers on the axis of the epochs."""
EPOCH_MARGIN = {"l": 62, "r": 14, "t": 58, "b": 48}
EPOCH_LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.13, "yanchor": "bottom"}
MUCH_WAITING = 0.1
"""Share of the time spent waiting from which the report says what to do."""


def training_section(log: TrainingLog | None) -> Section:
    """Curves of loss terms and accuracies, learning rate and speed; says so when there was no training.

    Args:
        log: None when the run has no training log.
    """
    if log is None or not log.curves:
        why = "no training log" if log is None else "an empty training log"
        text = f"This run has {why}, so there are no loss curves: the weights come from elsewhere."
        return Section("training", "Training", (Note(text),))
    idle = tuple(term for term in log.terms if all(_is_zero(curve) for curve in _curves_of(log, term)))
    losses = tuple(_with_epochs(_loss_figure(log, term), log) for term in log.terms if term not in idle)
    others = (
        _single(log, "lr", "learning rate", TRAIN, smooth=False),  # a mean would blur its steps
        _single(log, "voxels_per_s", "voxels per second", NEUTRAL, smooth=True),
        _single(log, "data_wait_fraction", "waiting for data, share of a step", NEUTRAL, smooth=True),
    )
    blocks: list[FigureGrid | Note] = []
    if losses:
        blocks.append(FigureGrid(losses, log_switch=True, columns="narrow"))
    if idle:
        blocks.append(Note(f"Terms that are 0 throughout, without a figure: {', '.join(map(_title, idle))}."))
    rates = tuple(figure for figure in others if figure is not None)
    if rates:
        blocks.append(FigureGrid(rates, log_switch=True, columns="narrow"))
    waited = log.curve("epoch_data_wait_fraction")
    if waited is not None and len(waited):
        blocks.append(Note(_waiting(waited)))
    dropped = {name: curve.dropped for name, curve in log.curves.items() if curve.dropped}
    if dropped:
        listed = ", ".join(f"{name}: {number}" for name, number in dropped.items())
        blocks.append(Note(f"Values that were not finite and are not drawn: {listed}."))
    lead = "Thin: every recorded value (thinned when there are many). Thick: running mean over 2\u2009% of them."
    return Section("training", "Training", tuple(blocks), lead)


def _is_zero(curve: Curve) -> bool:
    """Whether every value of a curve was logged and is 0."""
    return len(curve) > 0 and not curve.dropped and not curve.values.any()


def _waiting(waited: Curve) -> str:
    """How much of the training's time was spent on waiting for events, and what to do about much of it."""
    text = f"Waited for data: {percent(float(waited.values.mean()))} of the time, in the mean over the epochs"
    if len(waited) > 1:
        text += f"; {percent(float(waited.values[-1]))} in the last"
    if waited.values.mean() > MUCH_WAITING:
        text += ". Reading is the bottleneck: raise data.workers, or convert the files to the format `voxels`"
    return text + "."


def _curves_of(log: TrainingLog, term: str) -> tuple[Curve, ...]:
    found = (log.curve(f"{part}/{term}") for part in ("train", "val"))
    return tuple(curve for curve in found if curve is not None)


def _title(term: str) -> str:
    return "total loss" if term == "loss" else term.replace("/", ": ", 1).replace("_", " ")


def _loss_figure(log: TrainingLog, term: str) -> Figure:
    drawn: list[Line] = []
    for part, name, colour in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
        curve = log.curve(f"{part}/{term}")
        if curve is not None and len(curve):
            drawn += _raw_and_smooth(curve, name, colour, _width(curve))
    quantity = term.rpartition("/")[2].replace("_", " ")
    return Figure(_title(term), lines(drawn, "optimiser step", quantity), height=280)


def _with_epochs(figure: Figure, log: TrainingLog) -> Figure:
    """The figure with a second axis on top, at the steps where epochs begin."""
    epoch = log.curve("epoch")
    if epoch is None or not len(epoch) or epoch.values[-1] < 1:
        return figure
    numbers, first = np.unique(epoch.values, return_index=True)
    chosen = thinned_rows(len(numbers), MAX_EPOCHS)
    above = {
        "overlaying": "x",
        "matches": "x",
        "side": "top",
        "tickvals": epoch.steps[first[chosen]].tolist(),
        "ticktext": [f"{'' if place else 'epoch '}{number:.0f}" for place, number in enumerate(numbers[chosen])],
        "showgrid": False,
    }
    ends = {"type": "scatter", "x": [epoch.steps[0], epoch.steps[-1]], "y": [None, None], "xaxis": "x2"}
    spec = figure.spec
    data = [*spec["data"], {**ends, "showlegend": False, "hoverinfo": "skip"}]
    layout = {**spec["layout"], "xaxis2": above, "legend": EPOCH_LEGEND, "margin": EPOCH_MARGIN}
    return replace(figure, spec={"data": data, "layout": layout}, height=figure.height + 28)


def _width(curve: Curve) -> int:
    """Two per cent of the values, an odd number."""
    return 2 * (len(curve) // 100) + 1


def _raw_and_smooth(curve: Curve, name: str, colour: str, width: int) -> list[Line]:
    rows = thinned_rows(len(curve), MAX_POINTS)
    steps, raw = curve.steps[rows], curve.values[rows]
    if width == 1:
        return [Line(name, steps, raw, colour, markers=len(rows) < 60)]
    smooth = running_mean(curve.values, width)[rows]
    return [Line(name, steps, raw, colour, faint=True), Line(name, steps, smooth, colour)]


def _single(log: TrainingLog, name: str, title: str, colour: str, *, smooth: bool) -> Figure | None:
    curve = log.curve(name)
    if curve is None or not len(curve):
        return None
    width = _width(curve) if smooth else 1
    drawn = [replace(line, legend=False) for line in _raw_and_smooth(curve, title, colour, width)]
    return Figure(title, lines(drawn, "optimiser step", title), height=280)
