"""Event displays: the voxels of one event with the views that the page can switch between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int64

from lartpc_sparse.data.prediction_file import Prediction, PredictionFile
from lartpc_sparse.report.event_choice import Choice, choose_events
from lartpc_sparse.report.event_scores import (
    EventScores,
    event_scores,
    filled_rows,
    head_classes,
    match_names,
    threshold_title,
)
from lartpc_sparse.report.matching import matched_numbers
from lartpc_sparse.report.packing import pack
from lartpc_sparse.report.palette import FALSE, FOUND, MISSED, class_colours
from lartpc_sparse.report.text import count, decimal, percent
from lartpc_sparse.report.zooms import zooms_of

__all__ = ["Display", "display_of", "make_displays"]

MIN_VOXELS = 20
GAP_MARGIN = 12.0
"""Voxels shown around the boxes of the gaps."""
CLUSTER_TITLES = {"cluster": "", "cluster_true_semantics": ", true semantics"}


@dataclass(frozen=True)
class Display:
    """One event for the page.

    Attributes:
        title: name of the file, and entry.
        source: the same with the file's whole path.
        reason: why the event is shown, with its score.
        remark: number of voxels.
        views: titles of the views, in order.
        zooms: titles of the parts of a two-dimensional image that can be shown, in order; the first at the start.
        payload: data for the page's script.
    """

    title: str
    source: str
    reason: str
    remark: str
    views: tuple[str, ...]
    zooms: tuple[str, ...]
    payload: Mapping[str, Any]


def make_displays(
    file: PredictionFile, heads: Mapping[str, dict[str, Any]], number: int, max_voxels: int
) -> tuple[Display, ...]:
    """Displays of events spread over the range of the scores.

    Events that were skipped and events of fewer than 20 voxels are not shown.

    Args:
        file: the predictions.
        heads: metrics of the heads by name.
        number: displays wanted; fewer come back when the file has fewer usable events.
        max_voxels: of a larger event a random part is shown.
    """
    if number == 0 or len(file) == 0:
        return ()
    scores = event_scores(file, heads)

    def usable(index: int) -> bool:
        prediction = file.read(index)
        return prediction.status == "ok" and len(prediction) >= MIN_VOXELS

    chosen = choose_events(scores.values, number, usable)
    return tuple(_display(file, heads, choice, scores, max_voxels) for choice in chosen)


def _display(
    file: PredictionFile,
    heads: Mapping[str, dict[str, Any]],
    choice: Choice,
    scores: EventScores,
    max_voxels: int,
) -> Display:
    reason = choice.reason
    if choice.score is not None:
        value = percent(choice.score) if scores.title.startswith("accuracy") else decimal(choice.score)
        reason += f", {scores.title} {value}"
    return display_of(file.read(choice.index), file.classes, heads, reason, max_voxels, image_size=file.image_size)


def display_of(
    prediction: Prediction,
    file_classes: Sequence[str],
    heads: Mapping[str, dict[str, Any]],
    reason: str,
    max_voxels: int,
    *,
    image_size: Sequence[int] = (),
) -> Display:
    """The display of one event.

    Args:
        prediction: the event, of at least one voxel.
        file_classes: names of the values of `truth["semantic"]`.
        heads: metrics of the heads by name (class names, thresholds); may be empty.
        reason: why the event is shown.
        max_voxels: of a larger event this many voxels are drawn at random, always the same ones.
        image_size: pixels along the axes of a two-dimensional image, for a view of the whole.
    """
    total, dim = prediction.coords.shape
    rows = np.arange(total)
    remark = f"{count(total)} voxels"
    if total > max_voxels:
        rows = np.sort(np.random.default_rng(prediction.key.entry).choice(total, max_voxels, replace=False))
        remark += f", {count(max_voxels)} of them drawn (random choice)"
    views = [
        *_class_views(prediction, file_classes, heads, rows),
        *_cluster_views(prediction, rows),
        *_gap_views(prediction, heads, rows),
    ]
    zooms = zooms_of(prediction.coords, prediction.energy, image_size, _ranges(prediction.coords))
    energy = prediction.energy[rows]
    payload = {
        "dim": dim,
        "coords": pack(prediction.coords[rows].T),
        "energy": pack(energy),
        "energy_title": "energy (MeV)" if dim == 3 else "intensity",
        "ranges": _ranges(prediction.coords),
        "views": views,
        "zooms": [[list(axis) for axis in zoom.ranges] for zoom in zooms],
    }
    titles = tuple(str(view["title"]) for view in views)
    key = prediction.key
    title = f"{PurePath(key.file).name} entry {key.entry}"
    return Display(title, str(key), reason, remark, titles, tuple(zoom.title for zoom in zooms), payload)


def _ranges(coords: Int[np.ndarray, "N D"], margin: float = 1.0) -> list[list[float]]:
    """Axis ranges around one or more voxels; no axis shorter than a third of the longest: boxes stay boxes."""
    low, high = coords.min(axis=0), coords.max(axis=0)
    extent = np.asarray(high - low, dtype=np.float64)
    half = np.maximum(extent, extent.max() / 3) / 2 * 1.04 + margin
    middle = (low + high) / 2
    return [[float(m - h), float(m + h)] for m, h in zip(middle, half, strict=True)]


def _class_views(
    prediction: Prediction,
    file_classes: Sequence[str],
    heads: Mapping[str, dict[str, Any]],
    rows: Int64[np.ndarray, " R"],
) -> list[dict[str, Any]]:
    truth = prediction.truth.get("semantic")
    labels = {key.partition("/")[0]: column for key, column in prediction.columns.items() if key.endswith("/label")}
    views = []
    for head, label in labels.items():
        own = head_classes(head, heads, file_classes)
        common = [*own, *(name for name in file_classes if name not in own)] if truth is not None else [*own]
        expected = None if truth is None else match_names(truth[rows], file_classes, common)
        predicted = match_names(label[rows], own, common)
        used = set(predicted.tolist()) | set(() if expected is None else expected.tolist())
        colours = class_colours(common)
        views.append(
            {
                "title": head,
                "kind": "classes",
                "classes": [
                    {"name": name, "colour": colours[place], "value": place}
                    for place, name in enumerate(common)
                    if place in used or place < len(own)
                ],
                "truth": None if expected is None else pack(expected),
                "prediction": pack(predicted),
            }
        )
    return views


def _cluster_views(prediction: Prediction, rows: Int64[np.ndarray, " R"]) -> list[dict[str, Any]]:
    truth = prediction.truth.get("instance")
    views = []
    for key, column in prediction.columns.items():
        head, _, name = key.partition("/")
        if name not in CLUSTER_TITLES:
            continue
        none = np.full(len(prediction), -1, dtype=np.int64)
        expected, predicted = matched_numbers(none if truth is None else truth, column)
        views.append(
            {
                "title": head + CLUSTER_TITLES[name],
                "kind": "instances",
                "truth": None if truth is None else pack(expected[rows]),
                "prediction": pack(predicted[rows]),
                "true_count": int(expected.max(initial=-1)) + 1,
                "predicted_count": len(np.unique(predicted[predicted >= 0])),
            }
        )
    return views


def _gap_views(
    prediction: Prediction, heads: Mapping[str, dict[str, Any]], rows: Int64[np.ndarray, " R"]
) -> list[dict[str, Any]]:
    views = []
    for head, table in prediction.tables.items():
        if not {"coords", "active", "probability", "energy", "target_energy"} <= set(table):
            continue
        active, filled = table["active"].astype(np.bool_), filled_rows(table, heads.get(head))
        shown = active | filled
        state = np.where(active, np.where(filled, 0, 1), 2)
        views.append(
            {
                "title": head,
                "kind": "gaps",
                "threshold": threshold_title(heads.get(head)),
                "states": [["found", FOUND], ["missed", MISSED], ["false", FALSE]],
                "ranges": _ranges(table["coords"], margin=GAP_MARGIN) if len(table["coords"]) else None,
                "coords": pack(table["coords"][shown].T),
                "state": pack(state[shown]),
                "energy": pack(table["energy"][shown]),
                "target": pack(table["target_energy"][shown]),
                "hidden": pack(_rows_in(prediction.coords[rows], table["coords"][active])),
            }
        )
    return views


def _rows_in(coords: Int[np.ndarray, "N D"], wanted: Int[np.ndarray, "K D"]) -> Bool[np.ndarray, " N"]:
    """Which rows of `coords` are among the rows of `wanted`."""
    both = np.concatenate([coords, wanted])
    index = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    return np.asarray(np.isin(index[: len(coords)], index[len(coords) :]), dtype=np.bool_)
