"""Runs side by side: their numbers, and mean and spread over those that differ in the seed alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lartpc_sparse.report.headline_numbers import HeadlineNumber

__all__ = ["SEED", "Compared", "Group", "grouped", "keys_of"]

SEED = "seed"
"""The variable over which means are taken."""


@dataclass(frozen=True)
class Compared:
    """One run.

    Attributes:
        labels: variable to the label of its value; the same variables in all runs.
        status: `done`, or why there are no numbers or not to be trusted.
        numbers: of the run, in the order of its metrics; empty when it has none.
        report: path of its report relative to the page, None when there is none.
    """

    labels: Mapping[str, str]
    status: str
    numbers: tuple[HeadlineNumber, ...] = ()
    report: str | None = None

    @property
    def name(self) -> str:
        """The values, `plane=u, seed=1`."""
        return ", ".join(f"{name}={label}" for name, label in self.labels.items())

    def value(self, key: str) -> float | None:
        """The number of that key, None when the run does not have it."""
        return next((number.value for number in self.numbers if number.key == key), None)


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone; without a variable of that name, one run.

    Attributes:
        labels: what they have in common.
        members: in the order of the chain.
    """

    labels: Mapping[str, str]
    members: tuple[Compared, ...]

    @property
    def name(self) -> str:
        """The values in common; `all` when only the seed varies."""
        return ", ".join(self.labels.values()) or "all"

    def values(self, key: str) -> tuple[float, ...]:
        """The numbers of that key, of the runs that have it."""
        return tuple(value for member in self.members if (value := member.value(key)) is not None)

    def mean(self, key: str) -> float | None:
        """Their mean; None without any."""
        values = self.values(key)
        return statistics.fmean(values) if values else None

    def spread(self, key: str) -> float | None:
        """Their sample standard deviation, sqrt(sum (x - mean)^2 / (n - 1)); None for fewer than two."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else None


def grouped(runs: Sequence[Compared]) -> tuple[Group, ...]:
    """The runs in groups, in the order of their first members."""
    groups: dict[tuple[tuple[str, str], ...], list[Compared]] = {}
    for run in runs:
        common = tuple((name, label) for name, label in run.labels.items() if name != SEED)
        groups.setdefault(common, []).append(run)
    return tuple(Group(dict(common), tuple(members)) for common, members in groups.items())


def keys_of(runs: Sequence[Compared], *, main: bool = False) -> tuple[str, ...]:
    """Keys of the numbers that any run has, in the order of the runs' metrics; `main`: the main ones alone."""
    return tuple(dict.fromkeys(n.key for run in runs for n in run.numbers if n.main or not main))
