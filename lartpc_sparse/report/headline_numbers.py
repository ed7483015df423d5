"""The numbers by which runs are compared, from `metrics.json`; of each head those of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lartpc_sparse.report.metrics_file import heads_of, lookup
from lartpc_sparse.report.text import as_float

__all__ = ["HeadlineNumber", "headline_numbers"]

_Found = Iterator[tuple[str, Any, bool]]


@dataclass(frozen=True)
class HeadlineNumber:
    """One number of a head.

    Attributes:
        head: the head's name.
        quantity: `accuracy`, `recall Michel`.
        value: finite.
        main: among the few that are shown first.
    """

    head: str
    quantity: str
    value: float
    main: bool

    @property
    def key(self) -> str:
        """Head and quantity, unique in a run."""
        return f"{self.head}: {self.quantity}"


def headline_numbers(metrics: dict[str, Any]) -> tuple[HeadlineNumber, ...]:
    """The numbers of all heads in the order of the file; missing, null and NaN ones are left out."""
    found = tuple(
        HeadlineNumber(name, quantity, number, main)
        for name, head in heads_of(metrics).items()
        for quantity, value, main in _KINDS.get(str(head.get("kind")), _other)(head)
        if (number := as_float(value)) is not None
    )
    return tuple({number.key: number for number in reversed(found)}.values())[::-1]  # a class called track comes once


def _semantic(head: dict[str, Any]) -> _Found:
    yield "accuracy", head.get("accuracy"), True
    for score, title, main in (
        ("f1", "macro F1", True),
        ("iou", "macro IoU", False),
        ("recall", "macro recall", False),
    ):
        yield title, lookup(head, "macro", score), main
    yield "track/shower accuracy", lookup(head, "track_shower", "accuracy"), True
    for name in ("track", "shower"):
        yield f"recall {name}", lookup(head, "track_shower", "per_class", name, "recall"), True
    per_class = head.get("per_class")
    for score in ("recall", "precision", "f1"):
        for name in per_class if isinstance(per_class, dict) else ():
            yield f"{'F1' if score == 'f1' else score} {name}", lookup(per_class, name, score), False


def _clustering(head: dict[str, Any]) -> _Found:
    for source, title in (("predicted", "predicted semantics"), ("true", "true semantics")):
        yield f"mean ARI, {title}", lookup(head, "mean_ari", source), True
    yield "mean ARI, connected components", lookup(head, "mean_ari", "connected_components"), False
    by_source = head.get("semantics")
    for source, classes in by_source.items() if isinstance(by_source, dict) else ():
        for name in classes if isinstance(classes, dict) else ():
            for score, title in (("ari", "ARI"), ("purity", "purity"), ("efficiency", "efficiency"), ("sbd", "SBD")):
                main = source == "true" and score in ("ari", "sbd")
                yield f"{title} {name}, {source} semantics", lookup(classes, name, score, "mean"), main


def _inpainting(head: dict[str, Any]) -> _Found:
    yield "in-gap F1", head.get("f1"), True
    yield "in-gap precision", head.get("precision"), False
    yield "in-gap recall", head.get("recall"), False
    yield "in-gap IoU", head.get("iou"), False
    yield "relative charge error", lookup(head, "charge", "relative_error"), True
    yield "charge ratio, median", lookup(head, "charge", "median"), False


def _signal(head: dict[str, Any]) -> _Found:
    yield "pixel recall", lookup(head, "pixels", "recall"), True
    yield "pixel precision", lookup(head, "pixels", "precision"), True
    methods = head.get("methods")
    for name in methods if isinstance(methods, dict) else ():
        yield f"recoils found, {name}", lookup(methods, name, "recoils", "value"), True
        yield f"fakes an image, {name}", lookup(methods, name, "fakes_per_image"), True
        yield f"pixels clustered, {name}", lookup(methods, name, "pixels_to_clustering"), False
        yield f"seconds an image, {name}", lookup(methods, name, "seconds", "total"), False


def _other(head: dict[str, Any]) -> _Found:
    """A head of another package: the numbers at its top level, the first three first."""
    for index, (name, value) in enumerate((n, v) for n, v in head.items() if as_float(v) is not None):
        yield str(name), value, index < 3


_KINDS: dict[str, Callable[[dict[str, Any]], _Found]] = {
    "semantic": _semantic,
    "spatial_embedding": _clustering,
    "voxel_graph": _clustering,
    "inpaint": _inpainting,
    "signal": _signal,
}
