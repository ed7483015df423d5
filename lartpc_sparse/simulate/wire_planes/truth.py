"""Labels of a pixel that several particles share: the class by priority, the rest from the largest part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int64, Shaped
from pydantic import Field, field_validator
from scipy.sparse import coo_array

from lartpc_sparse.data.event import Event
from lartpc_sparse.schema import Config, UserError
from lartpc_sparse.simulate.wire_planes.projection import Shares

__all__ = ["Clusters", "LabelConfig", "class_ranks", "clusters_of", "leading_deposits", "pixel_labels"]

PRIORITY = ("HIP", "MIP", "track", "shower", "delta", "Michel", "low_energy")


class LabelConfig(Config):
    """How a pixel gets its class and its cluster."""

    priority: tuple[str, ...] = Field(
        default=PRIORITY,
        description="classes, the first that applies wins (arXiv:2012.08513, section III B); deposits without a class "
        "come last",
    )
    min_fraction: float = Field(
        default=0.1, ge=0, le=1, description="share of a pixel's charge that a class needs to apply"
    )
    min_piu: float = Field(
        default=2.0, ge=0, description="a pixel with less true intensity is noise and not labelled (-1), PIU"
    )

    @field_validator("priority")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"priority names a class twice: {list(names)}")
        return names


def class_ranks(config: LabelConfig, classes: tuple[str, ...]) -> Int64[np.ndarray, " K1"]:
    """Rank in the priority order by semantic label; the last entry serves label -1 and ranks last.

    Raises:
        UserError: a class of the events without a place in the priority order.
    """
    unknown = [name for name in classes if name not in config.priority]
    if unknown:
        raise UserError(f"labels.priority lacks the classes {unknown}; it has {list(config.priority)}")
    return np.array([*(config.priority.index(name) for name in classes), len(config.priority)])


class Clusters(NamedTuple):
    """Deposits of one class and one instance are one cluster.

    Attributes:
        of_deposit: cluster of each deposit.
        rank: of each cluster's class, see `class_ranks`.
    """

    of_deposit: Int64[np.ndarray, " N"]
    rank: Int64[np.ndarray, " C"]


def clusters_of(event: Event, ranks: Int64[np.ndarray, " K1"]) -> Clusters:
    """Clusters of a 3D event; where it has no semantic labels or no instances, all deposits have -1."""
    none = np.full(len(event), -1, dtype=np.int64)
    rank = ranks[event.labels.get("semantic", none)]
    _, instance = np.unique(event.labels.get("instance", none), return_inverse=True)
    num_ranks = int(ranks.max()) + 1
    pairs, of_deposit = np.unique(instance * num_ranks + rank, return_inverse=True)
    return Clusters(of_deposit, pairs % num_ranks)


def leading_deposits(shares: Shares, clusters: Clusters, min_fraction: float) -> Int64[np.ndarray, " M"]:
    """For each of M pixels, all of which have a share, the deposit whose labels the pixel takes.

    1. The class: the lowest rank with at least `min_fraction` of the pixel's charge, or with the charge of the largest
       class where none has that much.
    2. The cluster: the instance that gives the largest charge among the deposits of that class.
    3. The deposit: the largest of that class and instance.

    Args:
        shares: of the M pixels, numbered from 0.
        clusters: of the deposits.
        min_fraction: see `LabelConfig`.
    """
    if not len(shares.pixel):
        return np.zeros(0, dtype=np.int64)
    cluster = clusters.of_deposit[shares.deposit]
    number, num_ranks = int(shares.pixel.max()) + 1, int(clusters.rank.max()) + 1
    table = coo_array((shares.electrons, (shares.pixel, cluster)), shape=(number, len(clusters.rank))).tocsr()
    pixel, charge, rank = np.repeat(np.arange(number), np.diff(table.indptr)), table.data, clusters.rank[table.indices]

    by_class = np.bincount(pixel * num_ranks + rank, charge, number * num_ranks).reshape(number, num_ranks)
    needed = np.minimum(min_fraction * by_class.sum(axis=1), by_class.max(axis=1))
    winner = ((by_class >= needed[:, None]) & (by_class > 0)).argmax(axis=1)

    use = np.flatnonzero(rank == winner[pixel])
    largest = _leader(number, pixel[use], charge[use], table.indices[use])
    use = np.flatnonzero(cluster == largest[shares.pixel])
    return _leader(number, shares.pixel[use], shares.electrons[use], shares.deposit[use])


def _leader(
    number: int, group: Int64[np.ndarray, " C"], value: Float[np.ndarray, " C"], name: Int[np.ndarray, " C"]
) -> Int64[np.ndarray, " M"]:
    """The name of the largest value of each group."""
    most = np.zeros(number)
    np.maximum.at(most, group, value)
    top = np.flatnonzero(value == most[group])[::-1]  # of equal values the first is written last, and stays
    leader = np.full(number, -1, dtype=np.int64)
    leader[group[top]] = name[top]
    return leader


def pixel_labels(event: Event, lead: Int64[np.ndarray, " M"]) -> Mapping[str, Shaped[np.ndarray, " M"]]:
    """All label columns of the leading deposits; where there is none, -1, NaN in float columns, False in flags."""
    columns = {}
    for name, column in event.labels.items():
        blank = {"f": np.nan, "b": False}.get(column.dtype.kind, -1)
        if column.dtype.kind == "u":
            column = column.astype(np.int64)  # noqa: PLW2901  unsigned numbers have no -1
        columns[name] = np.append(column, np.array(blank, dtype=column.dtype))[lead]
    return columns
