"""The part of a semantic section about decisions: track or shower, clusters, events."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Table
from lartpc_sparse.report.charts import Line, axis, lines, normalised_confusion
from lartpc_sparse.report.metrics_file import lookup, matrix, names, paired
from lartpc_sparse.report.palette import FOUND, TRAIN, VALIDATION
from lartpc_sparse.report.text import MISSING, as_float, count, decimal, percent

__all__ = ["decision_blocks", "decision_headlines"]

_SCORES = ("efficiency", "purity", "mistag", "accuracy")


def decision_headlines(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Quantity, value and meaning of the headline numbers of the decisions."""
    cut = decimal(lookup(metrics, "decisions", "cluster_fraction"), 2)
    return (
        (
            "shower-like clusters found",
            percent(lookup(metrics, "decisions", "cluster_decision", "majority", "efficiency", "value"), 1),
            f"clusters with a majority of true shower voxels that have f_s of at least {cut}",
        ),
        (
            "event decision",
            percent(lookup(metrics, "decisions", "event_decision", "accuracy", "value"), 1),
            "events with the decision that their true clusters and labels give",
        ),
    )


def decision_blocks(decisions: Any) -> tuple[Block, ...]:
    """Table, confusion matrices and curves; nothing when the head takes no decisions."""
    if not isinstance(decisions, dict):
        return ()
    blocks: list[Block] = [Note(_words(decisions))]
    rows = [row for title, *keys in _ROWS if (row := _row(title, lookup(decisions, *keys))) is not None]
    if rows:
        header = ("decision", "n", "efficiency", "purity", "mistag rate", "accuracy")
        blocks.append(Table("Decisions against the truth (68\u2009% binomial interval)", header, tuple(rows)))
    by_class = lookup(decisions, "cluster_decision", "shower_like_by_class")
    if isinstance(by_class, dict) and by_class:
        cells = tuple((str(name), count(lookup(of, "n")), _share(of)) for name, of in by_class.items())
        columns = ("most frequent true class", "clusters", "called shower-like")
        blocks.append(Table("Clusters called shower-like", columns, cells))
    figures = (*_confusions(decisions), *_curves(decisions))
    if figures:
        blocks.append(FigureGrid(figures))
    return tuple(blocks)


_ROWS = (
    ("clusters, true majority", "cluster_decision", "majority"),
    ("clusters, same cut on true labels", "cluster_decision", "same_cut"),
    ("events", "event_decision"),
)


def _words(decisions: dict[str, Any]) -> str:
    size = count(decisions.get("min_voxels"))
    most = decisions.get("max_clusters")
    event = names(lookup(decisions, "event_decision", "names"))
    name = event[1] if len(event) == 2 else "shower event"
    return (
        f"Decisions: a voxel is shower if p_shower ({' + '.join(names(decisions.get('shower_classes')))}) is at least "
        f"{decimal(decisions.get('voxel_cut'), 2)}; a cluster ({decisions.get('clusters')}, of {size} voxels or more"
        f"{'' if most is None else f', the {count(most)} largest of an event'}) is shower-like if at least "
        f"{percent(decisions.get('cluster_fraction'), 0)} of its voxels are shower; an event with a shower-like "
        f"cluster is {name}. The true decision on an event takes the same cuts on true clusters with the labels "
        f"{' + '.join(names(decisions.get('electron_classes')))}."
    )


def _row(title: str, scores: Any) -> tuple[str, ...] | None:
    if not lookup(scores, "n"):
        return None
    return (title, count(lookup(scores, "n")), *(_share(lookup(scores, name)) for name in _SCORES))


def _share(proportion: Any) -> str:
    value = percent(lookup(proportion, "value"), 1)
    low, high = (as_float(lookup(proportion, end)) for end in ("low", "high"))
    if value == MISSING or low is None or high is None:
        return value
    return f"{value} ({100 * low:.1f}–{100 * high:.1f})"


def _confusions(decisions: dict[str, Any]) -> tuple[Figure, ...]:
    figures = []
    for title, part, classes in (
        ("Voxels at the cut", "voxels", names(lookup(decisions, "voxels", "classes"))),
        ("Events", "event_decision", names(lookup(decisions, "event_decision", "names"))),
    ):
        counts = matrix(lookup(decisions, part, "confusion"), len(classes))
        if counts is None or counts.shape[1] != len(classes) + 1 or not counts.any():
            continue
        shown = len(classes) + int(counts[:, -1].any())
        what = "voxels" if part == "voxels" else "events"
        spec = normalised_confusion(counts[:, :shown], classes, (*classes, "no decision")[:shown])
        spec["data"][0]["hovertemplate"] = spec["data"][0]["hovertemplate"].replace("voxels", what)
        figures.append(Figure(title, spec, height=340))
    return tuple(figures)


def _curves(decisions: dict[str, Any]) -> tuple[Figure, ...]:
    figures = []
    for title, part, colour, cut_name, used in (
        ("Voxels: cut on p_shower", "voxels", TRAIN, "p_shower", "voxel_cut"),
        ("Clusters: cut on f_s", "cluster_decision", VALIDATION, "f_s", "cluster_fraction"),
        ("Events: cut on f_s", "event_decision", FOUND, "f_s", "cluster_fraction"),
    ):
        roc = lookup(decisions, part, "roc")
        mistag, efficiency = paired(lookup(roc, "mistag"), lookup(roc, "efficiency"))
        cuts, _ = paired(lookup(roc, "cut"), lookup(roc, "mistag"))
        if not len(mistag) or len(cuts) != len(mistag):
            continue
        spec = lines([Line(title, mistag, efficiency, colour)], "mistag rate", "efficiency")
        spec["data"][0] |= {
            "customdata": [round(cut, 5) for cut in cuts.tolist()],
            "hoverinfo": "all",
            "hovertemplate": f"{cut_name} ≥ %{{customdata:.4g}}<br>efficiency %{{y:.4f}}<br>"
            "mistag %{x:.4f}<extra></extra>",
        }
        at = int(abs(cuts - (as_float(decisions.get(used)) or 0.0)).argmin())
        spec["data"].append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [round(float(mistag[at]), 5)],
                "y": [round(float(efficiency[at]), 5)],
                "marker": {"color": colour, "size": 9},
                "hoverinfo": "skip",
            }
        )
        spec["layout"] |= {"showlegend": False, "yaxis": axis("efficiency", rangemode="tozero")}
        caption = f"Area under the curve {decimal(lookup(roc, 'auc'), 4)}; the point is the cut of the run."
        figures.append(Figure(title, spec, caption, height=300))
    return tuple(figures)
