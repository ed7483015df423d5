"""Choosing the decoding settings of a head on labelled events: what the step `tune` asks of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.metrics.clustering import ClusteringScores, clustering_scores

__all__ = ["ClusterGrid", "Tuned", "Tuner", "with_settings"]


def with_settings(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a configuration with settings laid over them, mapping by mapping."""
    merged = dict(values)
    for name, value in settings.items():
        old = merged.get(name)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = with_settings(old, value) if nested else value  # type: ignore[arg-type]
    return merged


@dataclass(frozen=True)
class Tuned:
    """The settings that were best.

    Attributes:
        settings: laid over the configuration of the head.
        trials: everything that was tried with its scores, one JSON-ready mapping each.
    """

    settings: dict[str, Any]
    trials: list[dict[str, Any]]


class Tuner(ABC):
    """Collects the results of all settings, batch by batch."""

    @abstractmethod
    def update(self, output: Mapping[str, Tensor], batch: Batch, plain: Batch | None = None) -> None:
        """Try all settings on a batch with truth.

        Args:
            output: of the head.
            batch: as the network saw it.
            plain: the same events without the head's view (`HeadConfig.inference_view`), where it has one.
        """

    @abstractmethod
    def result(self) -> Tuned:
        """The best settings; those of the configuration where no event had anything to choose by."""


@dataclass
class ClusterGrid:
    """Mean clustering scores of every setting of every class; best is the highest mean of ARI + SBD over events.

    Attributes:
        classes: names.
        settings: what is tried, the same for all classes.
        sums: (classes, settings, scores) sums over events of ARI, purity, efficiency and SBD.
        events: of each class, with at least one true cluster.
    """

    classes: Sequence[str]
    settings: Sequence[Mapping[str, float]]
    sums: np.ndarray = field(init=False)
    events: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros((len(self.classes), len(self.settings), 4))
        self.events = np.zeros(len(self.classes), dtype=np.int64)

    def add(self, number: int, truth: np.ndarray, found: Sequence[np.ndarray]) -> None:
        """One event of a class: true clusters, and those that each setting finds."""
        known: dict[bytes, ClusteringScores | None] = {}  # most settings agree on an event
        scores = []
        for clusters in found:
            bits = clusters.tobytes()
            if bits not in known:
                known[bits] = clustering_scores(truth, clusters)
            scores.append(known[bits])
        if any(score is None for score in scores):
            return
        self.sums[number] += [(s.ari, s.purity, s.efficiency, s.sbd) for s in scores if s is not None]
        self.events[number] += 1

    def best(self) -> dict[str, Mapping[str, float]]:
        """The best setting of each class that had an event; the first among equals."""
        total = self.sums[:, :, 0] + self.sums[:, :, 3]
        return {
            name: self.settings[int(total[number].argmax())]
            for number, name in enumerate(self.classes)
            if self.events[number]
        }

    def trials(self) -> list[dict[str, Any]]:
        """All settings of all classes with their mean scores."""
        rows = []
        for number, name in enumerate(self.classes):
            means = self.sums[number] / max(int(self.events[number]), 1)
            for setting, scores in zip(self.settings, means.tolist(), strict=True):
                named = dict(zip(("ari", "purity", "efficiency", "sbd"), scores, strict=True))
                rows.append({"class": name, "events": int(self.events[number]), **setting, **named})
        return rows
