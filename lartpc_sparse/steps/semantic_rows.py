"""The headline metrics of a semantic head, as rows for the terminal."""

from __future__ import annotations

from typing import Any

__all__ = ["semantic_rows"]


def semantic_rows(head: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    """Quantity, value and 68 % interval (four decimals, so that short ones can be seen)."""
    rows = [_row(head, "accuracy", "accuracy"), _row(head, "macro F1", "macro", "f1")]
    for score in ("recall", "precision"):
        rows += [_row(head, f"{score} {name}", "per_class", name, score) for name in head["per_class"]]
    if "track_shower" in head:
        rows.append(_row(head, "accuracy track/shower", "track_shower", "accuracy"))
        rows += [_row(head, f"accuracy {two}", *_of_two(two)) for two in ("track", "shower")]
    if "decisions" in head:
        clusters, events = head["decisions"]["cluster_decision"]["majority"], head["decisions"]["event_decision"]
        rows += [(f"shower-like clusters, {name}", clusters[name]["value"], "") for name in ("efficiency", "purity")]
        rows += [
            (f"{events['names'][1]} events, {name}", events[name]["value"], "") for name in ("efficiency", "purity")
        ]
    error = head.get("calibration", {}).get("all", {}).get("ece")
    if error is not None:
        rows.append(("expected calibration error", error, ""))
    for subset, scores in head.get("subsets", {}).items():
        rows.append(_row(scores, f"{subset}: accuracy", "accuracy"))
        if "track_shower" in scores:
            rows += [_row(scores, f"{subset}: accuracy {two}", *_of_two(two)) for two in ("track", "shower")]
    return rows


def _of_two(name: str) -> tuple[str, ...]:
    """What the two-class tables of the literature call the accuracy of a class is its recall."""
    return ("track_shower", "per_class", name, "recall")


def _row(scores: dict[str, Any], title: str, *keys: str) -> tuple[str, float | None, str]:
    limits = (_at(scores.get("intervals"), keys) or {}).get("68")
    return title, _at(scores, keys), "" if limits is None else f"{limits[0]:.4f} to {limits[1]:.4f}"


def _at(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = None if value is None else value.get(key)
    return value
