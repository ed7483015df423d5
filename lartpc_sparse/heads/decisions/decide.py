"""Decisions as pure functions of scores and clusters (arXiv:2012.08513, section V C), in any number of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int8, Int64

__all__ = [
    "NONE",
    "SHOWER",
    "TRACK",
    "ClusterTable",
    "EventDecision",
    "decide_event",
    "decide_voxels",
    "make_cluster_table",
    "shower_probability",
]

NONE, TRACK, SHOWER = -1, 0, 1
"""The values of a decision: of a voxel, a cluster or an event."""


@dataclass(frozen=True)
class ClusterTable:
    """The clusters of one event, K rows in ascending order of their id.

    Attributes:
        id: of the cluster, as the clustering gave it.
        voxels: number of voxels with a track/shower decision.
        shower_voxels: those that are shower.
        shower_fraction: f_s = shower_voxels / voxels.
        mean_p_shower: unweighted mean over the voxels.
        energy: sum over the voxels, MeV or the detector's units.
        shower_like: f_s reaches the cut.
        considered: the cluster has a say in the decision on the event.
    """

    id: Int64[np.ndarray, " K"]
    voxels: Int64[np.ndarray, " K"]
    shower_voxels: Int64[np.ndarray, " K"]
    shower_fraction: Float64[np.ndarray, " K"]
    mean_p_shower: Float64[np.ndarray, " K"]
    energy: Float64[np.ndarray, " K"]
    shower_like: Bool[np.ndarray, " K"]
    considered: Bool[np.ndarray, " K"]

    def __len__(self) -> int:
        return len(self.id)

    @property
    def largest_fraction(self) -> float:
        """Largest f_s of the considered clusters, which decides on the event; NaN without one."""
        return float(self.shower_fraction[self.considered].max()) if self.considered.any() else float("nan")


@dataclass(frozen=True)
class EventDecision:
    """Every decision on one event of M voxels.

    Attributes:
        p_shower: of each voxel, NaN where nothing is decided.
        voxels: TRACK, SHOWER or NONE.
        cluster: row of `clusters` that the voxel belongs to, -1 for none.
        clusters: the clusters.
        event: SHOWER if a considered cluster is shower-like, else TRACK; NONE when no cluster is considered.
    """

    p_shower: Float64[np.ndarray, " M"]
    voxels: Int8[np.ndarray, " M"]
    cluster: Int64[np.ndarray, " M"]
    clusters: ClusterTable
    event: int


def shower_probability(
    probability: Float[np.ndarray, "M K"], shower: Sequence[int], track: Sequence[int]
) -> Float64[np.ndarray, " M"]:
    """p_shower = sum of the scores of the shower classes, for each voxel.

    With classes that are neither track nor shower it is normalised to the two groups, and NaN where the most probable
    class is in neither. NaN scores (a voxel that was not in the network's image) give NaN.

    Raises:
        ValueError: a class number is out of range, or a class is in both groups.
    """
    classes = probability.shape[1]
    both = [*shower, *track]
    if len(set(both)) < len(both) or not all(0 <= number < classes for number in both):
        raise ValueError(f"shower classes {list(shower)} and track classes {list(track)} of {classes} classes")
    score: Float64[np.ndarray, " M"] = probability[:, list(shower)].sum(axis=1, dtype=np.float64)
    if len(both) == classes:
        return score
    total = score + probability[:, list(track)].sum(axis=1, dtype=np.float64)
    known = np.isin(_most_probable(probability), both) & (total > 0)
    result = np.full(len(probability), np.nan)
    result[known] = score[known] / total[known]
    return result


def _most_probable(probability: Float[np.ndarray, "M K"]) -> Int64[np.ndarray, " M"]:
    """Class of the largest score, -1 where a score is NaN."""
    return np.where(np.isnan(probability).any(axis=1), -1, probability.argmax(axis=1)).astype(np.int64)


def decide_voxels(p_shower: Float64[np.ndarray, " M"], cut: float) -> Int8[np.ndarray, " M"]:
    """SHOWER where p_shower >= cut, NONE where it is NaN, else TRACK."""
    decided = np.where(p_shower >= cut, SHOWER, TRACK)
    return np.where(np.isnan(p_shower), NONE, decided).astype(np.int8)


def make_cluster_table(
    cluster: Int[np.ndarray, " M"],
    voxels: Int8[np.ndarray, " M"],
    p_shower: Float64[np.ndarray, " M"],
    energy: Float[np.ndarray, " M"],
    *,
    cut: float,
    min_voxels: int = 1,
    max_clusters: int | None = None,
) -> tuple[Int64[np.ndarray, " M"], ClusterTable]:
    """Sum up the clusters of an event.

    Args:
        cluster: id of each voxel's cluster, negative for none.
        voxels: decision on each voxel; those with NONE count in no cluster.
        p_shower: of each voxel.
        energy: of each voxel.
        cut: least f_s of a shower-like cluster.
        min_voxels: smaller clusters are not considered for the event.
        max_clusters: only the so many largest are considered (the first by id among equals); None: all.

    Returns:
        Row of each voxel's cluster in the table, -1 for none, and the table. A cluster without a decided voxel has no
        row.
    """
    used = np.flatnonzero((cluster >= 0) & (voxels != NONE))
    ids, row = np.unique(cluster[used], return_inverse=True)
    rows = len(ids)
    size = np.bincount(row, minlength=rows)
    shower = np.bincount(row[voxels[used] == SHOWER], minlength=rows).astype(np.int64)
    fraction = shower / size  # no row is empty
    considered = size >= min_voxels
    if max_clusters is not None:
        by_size = np.argsort(-size, kind="stable")
        considered[by_size[max_clusters:]] = False
    table = ClusterTable(
        id=ids.astype(np.int64),
        voxels=size.astype(np.int64),
        shower_voxels=shower,
        shower_fraction=fraction,
        mean_p_shower=_sums(row, p_shower[used], rows) / size,
        energy=_sums(row, energy[used], rows),
        shower_like=fraction >= cut,
        considered=considered,
    )
    where = np.full(len(cluster), -1, dtype=np.int64)
    where[used] = row
    return where, table


def _sums(row: Int64[np.ndarray, " N"], values: Float[np.ndarray, " N"], rows: int) -> Float64[np.ndarray, " K"]:
    """Sum of the values of each row; without any value NumPy would count in integers."""
    return np.bincount(row, weights=values, minlength=rows).astype(np.float64)


def decide_event(table: ClusterTable) -> int:
    """SHOWER if a considered cluster is shower-like, else TRACK; NONE when there is no considered cluster."""
    if not table.considered.any():
        return NONE
    return SHOWER if (table.shower_like & table.considered).any() else TRACK
