"""The section of an inpainting head: voxels and charge in the gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table
from lartpc_sparse.report.charts import Line, Spec, axis, histogram, lines, marks, rounded, vertical
from lartpc_sparse.report.event_scores import threshold_text, threshold_title, thresholds
from lartpc_sparse.report.inpainting_tracks import class_table, method_name, track_blocks
from lartpc_sparse.report.metrics_file import lookup, numbers, paired
from lartpc_sparse.report.palette import FOUND, MISSED, NEUTRAL, TRAIN, VALIDATION
from lartpc_sparse.report.text import anchor, as_float, count, decimal, percent

__all__ = ["inpainting_headlines", "inpainting_section"]

ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("precision", ("precision",)),
    ("recall", ("recall",)),
    ("F1", ("f1",)),
    ("IoU", ("iou",)),
    ("F1, one voxel of tolerance", ("tolerant", "f1")),
    ("charge ratio, median", ("charge", "median")),
    ("charge ratio, 68\u2009% half width", ("charge", "half_width_68")),
    ("charge ratio, mean − 1", ("charge", "bias")),
    ("relative charge error", ("charge", "relative_error")),
    ("Chamfer distance (voxels)", ("chamfer", "mean")),
)


def inpainting_headlines(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Quantity, value and meaning of the head's headline numbers."""
    ratio, width = lookup(metrics, "charge", "median"), lookup(metrics, "charge", "half_width_68")
    return (
        ("F1 of the gap voxels", decimal(metrics.get("f1")), "at the chosen threshold"),
        ("IoU of the gap voxels", decimal(metrics.get("iou")), "at the chosen threshold"),
        ("charge ratio", f"{decimal(ratio)} ± {decimal(width)}", "median and 68\u2009% half width over the gaps"),
        (
            "relative charge error",
            percent(lookup(metrics, "charge", "relative_error")),
            "sum of |predicted − true| over the sum of true",
        ),
    )


def inpainting_section(name: str, metrics: dict[str, Any]) -> Section:
    """Figures and tables of one inpainting head."""
    blocks: list[Block] = []
    table = _score_table(metrics)
    if table is not None:
        blocks.append(table)
    by_class = class_table(metrics)
    if by_class is not None:
        blocks.append(by_class)
    found = (_precision_recall(metrics), _f1_curve(metrics), _charge_ratio(metrics), _charge(metrics))
    figures = tuple(figure for figure in (*found, _numbers(metrics), _voxels(metrics)) if figure is not None)
    if figures:
        blocks.append(FigureGrid(figures))
    blocks += track_blocks(metrics)
    if not blocks:
        blocks.append(Note("There are no gaps with a known truth."))
    lead = (
        "Judged on the voxels of the gaps only. A ratio is predicted over true charge of one gap; the baselines "
        "are scored on the same gaps."
    )
    return Section(anchor("head", name), f"Inpainting: {name}", tuple(blocks), lead)


def _score_table(metrics: dict[str, Any]) -> Table | None:
    baselines = metrics.get("baselines")
    others = {str(key): value for key, value in baselines.items()} if isinstance(baselines, dict) else {}
    columns = {"network": metrics, **others}
    rows = [
        (label, *(decimal(_score(scores, keys)) for scores in columns.values()))
        for label, keys in ROWS
        if any(as_float(_score(scores, keys)) is not None for scores in columns.values())
    ]
    if not rows:
        return None
    titles = map(method_name, columns)
    return Table(f"Scores of what is filled, {threshold_text(metrics)}", ("", *titles), tuple(rows))


def _score(scores: Any, keys: tuple[str, ...]) -> Any:
    """A score where the network's metrics have it, or flat as a baseline may have it (`charge_median`)."""
    nested = lookup(scores, *keys)
    return nested if nested is not None else lookup(scores, "_".join(keys))


def _precision_recall(metrics: dict[str, Any]) -> Figure | None:
    recall, precision = paired(lookup(metrics, "curve", "recall"), lookup(metrics, "curve", "precision"))
    if not len(recall):
        return None
    spec = lines([Line("all thresholds", recall, precision, TRAIN)], "recall", "precision")
    r, p = as_float(metrics.get("recall")), as_float(metrics.get("precision"))
    if r is not None and p is not None:
        spec["data"].append(_point(r, p, f"as filled, {threshold_title(metrics)}"))
    unit = {"range": [0, 1.02]}
    layout = {"xaxis": axis("recall", **unit), "yaxis": axis("precision", **unit)}
    return Figure("Precision against recall", spec | {"layout": layout}, "Voxels of all gaps together.")


def _point(x: float, y: float, name: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": [y],
        "name": name,
        "marker": {"size": 11, "color": VALIDATION, "symbol": "diamond"},
    }


def _f1_curve(metrics: dict[str, Any]) -> Figure | None:
    threshold, f1 = paired(lookup(metrics, "curve", "threshold"), lookup(metrics, "curve", "f1"))
    if not len(threshold):
        return None
    spec = lines([Line("F1", threshold, f1, TRAIN, legend=False)], "threshold on the probability", "F1")
    chosen = [value for value, _ in thresholds(metrics)]
    if chosen:
        marked = [vertical(value, f"chosen {', '.join(f'{each:.2f}' for each in chosen)}") for value in chosen]
        spec["layout"] |= {"shapes": [shape for shape, _ in marked], "annotations": [marked[0][1]]}
    spec["layout"]["yaxis"] |= {"range": [0, 1.02]}
    return Figure("F1 against the threshold", spec)


def _charge_ratio(metrics: dict[str, Any]) -> Figure | None:
    ratio = numbers(lookup(metrics, "charge", "ratio"))
    if not len(ratio):
        return None
    high = float(max(2.0, min(np.quantile(ratio, 0.99), 5.0)))
    spec = histogram([("gaps", FOUND, ratio)], np.linspace(0, high, 41), "predicted / true charge", "fraction of gaps")
    median, width = as_float(lookup(metrics, "charge", "median")), lookup(metrics, "charge", "half_width_68")
    if median is not None:
        shape, note = vertical(median, f"median {median:.3f}")
        spec["layout"] |= {"shapes": [shape], "annotations": [note]}
    spec["layout"]["showlegend"] = False
    above = int((ratio > high).sum())
    caption = f"{count(len(ratio))} gaps; 68\u2009% half width {decimal(width)}"
    caption += f"; {above} above {high:.1f} in the last bin." if above else "."
    return Figure("Charge ratio per gap", spec, caption)


def _charge(metrics: dict[str, Any]) -> Figure | None:
    true, predicted = paired(lookup(metrics, "charge", "true"), lookup(metrics, "charge", "predicted"))
    if not ((true > 0) & (predicted > 0)).any():
        return None
    spec = marks(true, predicted, "true charge", "predicted charge", colour=FOUND, log=True)
    left_out = int(((true <= 0) | (predicted <= 0)).sum())
    caption = "Sum of the voxel energies in a gap, in the units of the input."
    if left_out:
        caption += f" {count(left_out)} gaps with nothing true or nothing predicted are not on the log axes."
    return Figure("Charge per gap", spec, caption, height=360)


def _numbers(metrics: dict[str, Any]) -> Figure | None:
    """The histogram of the LArDRIP slides: voxels above the threshold, predicted and true."""
    true, predicted = paired(lookup(metrics, "voxels", "true"), lookup(metrics, "voxels", "predicted"))
    if not len(true):
        return None
    high = max(float(np.quantile(np.concatenate([true, predicted]), 0.98)), 10.0)
    samples = [("true", NEUTRAL, true), ("predicted", TRAIN, predicted)]
    spec = histogram(samples, np.linspace(0, high, 41), "voxels above the threshold", "fraction of gaps")
    return Figure("Number of voxels per gap", spec, f"Gaps with more than {high:.0f} are in the last bin.")


def _voxels(metrics: dict[str, Any]) -> Figure | None:
    true, predicted = paired(lookup(metrics, "voxels", "true"), lookup(metrics, "voxels", "predicted"))
    if not len(true):
        return None
    points, gaps = np.unique(np.column_stack([true, predicted]), axis=0, return_counts=True)
    spec = marks(
        points[:, 0],
        points[:, 1],
        "true voxels",
        "predicted voxels",
        colour=MISSED,
        sizes=np.asarray(5 + 2 * np.sqrt(gaps - 1), dtype=np.float64),
        hover="true %{x}, predicted %{y}: %{customdata} gaps<extra></extra>",
    )
    spec["data"][1]["customdata"] = gaps.tolist()
    bias = rounded(np.array([np.mean(predicted - true)]), 3)[0]
    return Figure("Active voxels per gap", spec, f"Predicted minus true: {bias:+g} on average.", height=360)
