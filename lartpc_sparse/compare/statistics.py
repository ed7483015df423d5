"""From counts by event to shares and differences with their 68 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from lartpc_sparse.compare.counts import QUANTITIES
from lartpc_sparse.metrics.proportions import bootstrap_interval, bootstrap_sums, proportion

__all__ = ["TITLES", "Estimate", "estimates"]

Sums = Mapping[str, Float[np.ndarray, " _"]]

TITLES: Mapping[str, str] = {
    "voxels": "voxels, variation / nominal",
    "common": "voxels in common",
    "changed": "changed class",
    "changed_two": "changed track/shower",
    "accuracy": "accuracy, difference",
    "accuracy_two": "track/shower accuracy, difference",
    "track_accuracy": "track accuracy, difference",
    "shower_accuracy": "shower accuracy, difference",
    "clusters_flipped": "clusters flipped",
    "shower_clusters": "shower-like clusters, relative change",
    "events_flipped": "events flipped",
}
"""What is estimated: all of them shares, or differences of shares."""


@dataclass(frozen=True)
class Estimate:
    """A quantity with its 68 % interval; None where it is not defined.

    Attributes:
        value: the quantity.
        low: lower end.
        high: upper end.
        n: voxels, clusters or events in its denominator (of the nominal sample where both have one).
        interval: how the interval was made: "bootstrap over events" or "binomial" (Wilson).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    interval: str


def estimates(counts: Int64[np.ndarray, "E Q"], *, resamples: int, seed: int) -> dict[str, Estimate]:
    """All quantities of `TITLES` for one variation.

    Shares of voxels and differences of accuracies have intervals by bootstrap over events (the voxels of an event are
    not independent; both samples are resampled together, so that a difference is that of the same events). Flips of
    clusters and events have binomial ones. One event has no bootstrap interval.

    Args:
        counts: one row an event, in the order of `QUANTITIES`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    total = dict(zip(QUANTITIES, counts.sum(axis=0)[:, None].astype(np.float64), strict=True))
    resampled = dict(zip(QUANTITIES, bootstrap_sums(counts, resamples, seed).T, strict=True))
    found = {}
    for name, (formula, denominator) in _BY_BOOTSTRAP.items():
        value = float(formula(total)[0])
        interval = bootstrap_interval(formula(resampled)) if len(counts) > 1 and np.isfinite(value) else None
        low, high = interval or (None, None)
        n = int(total[denominator][0])
        found[name] = Estimate(value if np.isfinite(value) else None, low, high, n, "bootstrap over events")
    for name, (parts, whole) in _BINOMIAL.items():
        share = proportion(int(sum(total[part][0] for part in parts)), int(total[whole][0]))
        found[name] = Estimate(share["value"], share["low"], share["high"], share["n"], "binomial")
    return {name: found[name] for name in TITLES}


def _ratio(part: Float64[np.ndarray, " B"], whole: Float64[np.ndarray, " B"]) -> Float64[np.ndarray, " B"]:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _difference(parts: tuple[str, ...], wholes: tuple[str, ...]) -> Callable[[Sums], Float64[np.ndarray, " B"]]:
    """Share in the variation minus share in the nominal sample."""

    def share(sums: Sums, suffix: str) -> Float64[np.ndarray, " B"]:
        part, whole = (sum(sums[f"{name}_{suffix}"] for name in names) for names in (parts, wholes))
        return _ratio(np.asarray(part), np.asarray(whole))

    return lambda sums: share(sums, "v") - share(sums, "n")


_BY_BOOTSTRAP: Mapping[str, tuple[Callable[[Sums], Float64[np.ndarray, " B"]], str]] = {
    "voxels": (lambda sums: _ratio(sums["voxels_v"], sums["voxels_n"]), "voxels_n"),
    "common": (
        lambda sums: _ratio(sums["common"], sums["voxels_n"] + sums["voxels_v"] - sums["common"]),
        "voxels_n",
    ),
    "changed": (lambda sums: _ratio(sums["changed"], sums["common"]), "common"),
    "changed_two": (lambda sums: _ratio(sums["changed_two"], sums["decided"]), "decided"),
    "accuracy": (_difference(("right",), ("labelled",)), "labelled_n"),
    "accuracy_two": (_difference(("track_right", "shower_right"), ("track", "shower")), "labelled_n"),
    "track_accuracy": (_difference(("track_right",), ("track",)), "track_n"),
    "shower_accuracy": (_difference(("shower_right",), ("shower",)), "shower_n"),
    "shower_clusters": (
        lambda sums: _ratio(sums["shower_clusters_v"], sums["shower_clusters_n"]) - 1,
        "shower_clusters_n",
    ),
}
_BINOMIAL: Mapping[str, tuple[tuple[str, ...], str]] = {
    "clusters_flipped": (("to_shower", "to_track"), "matched"),
    "events_flipped": (("event_to_shower", "event_to_track"), "events"),
}
