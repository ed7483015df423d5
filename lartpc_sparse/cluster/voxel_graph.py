"""Graphs of near voxels, and their agglomeration with scored edges.

Voxels are nodes, pairs of near voxels edges with a score that both belong together (Graph-SPICE, arXiv:2007.03083v3
and its follow-ups, connects voxels within a radius of 1.9: reach 1 here). Clusters come from average linkage, where a
single wrong edge does not join two particles, as it would in connected components.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64
from scipy.cluster.hierarchy import DisjointSet
from scipy.spatial import cKDTree

from lartpc_sparse.sparse.native import graph as native
from lartpc_sparse.sparse.native.library import missing_reason

__all__ = ["FARTHEST", "agglomerate", "near_pairs"]

FARTHEST = 64
"""Above the longest distance of an edge, voxels: the compiled search has a bit for each."""


def near_pairs(
    coords: Int32[np.ndarray, "N D"], label: Int64[np.ndarray, " N"], reach: int, far: Sequence[int] = ()
) -> Int64[np.ndarray, "E 2"]:
    """Pairs of voxels with one label and a distance, the longest difference along an axis, up to `reach` or in `far`.

    Far pairs are shells around a voxel: few in number, as in the sparse long-range edges of arXiv:1904.12654.

    Args:
        coords: voxel index.
        label: of each voxel; pairs have one label in common, voxels below 0 have none.
        reach: voxels, at least 1; 1 gives the 3^D - 1 neighbours.
        far: further distances, voxels; each above `reach` and below 64.

    Returns:
        Rows of each pair, every unordered pair once, in no particular order.

    Raises:
        ValueError: a reach below 1, or a far distance that is none.
    """
    if reach < 1:
        raise ValueError(f"reach must be at least 1, got {reach}")
    if any(not reach < distance < FARTHEST for distance in far):
        raise ValueError(f"far distances lie above the reach of {reach} and below {FARTHEST}, got {tuple(far)}")
    if missing_reason() is None and (found := native.near_pairs(coords, label, reach, far)) is not None:
        return found
    parts = [np.empty((0, 2), dtype=np.int64)]
    for value in np.unique(label[label >= 0]):
        rows = np.flatnonzero(label == value)
        pairs = cKDTree(coords[rows]).query_pairs(r=max(far, default=reach), p=np.inf, output_type="ndarray")
        found = rows[pairs.astype(np.int64)]
        distance = np.abs(coords[found[:, 0]] - coords[found[:, 1]]).max(axis=1, initial=0)
        parts.append(found[(distance <= reach) | np.isin(distance, far)])
    return np.concatenate(parts)


def agglomerate(
    pairs: Int[np.ndarray, "E 2"],
    scores: Float32[np.ndarray, " E"],
    nodes: int,
    *,
    threshold: float,
    certain: float = 1.0,
) -> Int64[np.ndarray, " N"]:
    """Clusters of a graph by average linkage.

    Every node is a cluster; the two clusters with the highest mean score of the edges between them are joined, until
    the highest mean is below `threshold`. Among equal means the lowest clusters are joined first.

    Args:
        pairs: nodes of each edge.
        scores: of each edge, 0..1.
        nodes: number of nodes N.
        threshold: least mean score of a link.
        certain: edges of at least this score are joined beforehand, which saves most of the time.

    Returns:
        Cluster of each node, 0..K-1 in the order of their first nodes.

    Raises:
        ValueError: an edge names a node that does not exist, or a score is not finite.
    """
    if len(pairs) and not (pairs.min() >= 0 and pairs.max() < nodes):
        raise ValueError(f"edges name the nodes {pairs.min()}..{pairs.max()}, there are 0..{nodes - 1}")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite; the network's output is broken")
    if missing_reason() is None:
        return native.agglomerate(pairs.astype(np.int64, copy=False), scores, nodes, threshold, certain)
    return _agglomerate(pairs, scores, nodes, threshold, certain)


def _agglomerate(
    pairs: Int[np.ndarray, "E 2"], scores: Float32[np.ndarray, " E"], nodes: int, threshold: float, certain: float
) -> Int64[np.ndarray, " N"]:
    """As src/graph.cpp, for where it was not compiled."""
    sets = DisjointSet(range(nodes))
    for a, b in pairs[scores >= certain].tolist():
        sets.merge(a, b)
    links = _links(pairs, scores, sets)
    queue = [(-t / n, a, b) for a, own in links.items() for b, (t, n) in own.items() if a < b and t / n >= threshold]
    heapq.heapify(queue)
    while queue:
        mean, a, b = heapq.heappop(queue)
        total, count = links[a].get(b, (0.0, 0))
        if not count or -total / count != mean:  # joined or changed since
            continue
        sets.merge(a, b)
        into = sets[a]
        gone = a + b - into
        del links[into][gone]
        for other, (total, count) in links.pop(gone).items():
            if other == into:
                continue
            del links[other][gone]
            before = links[into].get(other, (0.0, 0))
            link = (before[0] + total, before[1] + count)
            links[into][other] = links[other][into] = link
            if link[0] / link[1] >= threshold:
                heapq.heappush(queue, (-link[0] / link[1], min(into, other), max(into, other)))
        links[gone] = {}
    roots = np.array([sets[node] for node in range(nodes)], dtype=np.int64)
    _, first, inverse = np.unique(roots, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _links(
    pairs: Int[np.ndarray, "E 2"], scores: Float32[np.ndarray, " E"], sets: DisjointSet
) -> defaultdict[int, dict[int, tuple[float, int]]]:
    """Sum and number of the scores between two sets, by the roots of both."""
    links: defaultdict[int, dict[int, tuple[float, int]]] = defaultdict(dict)
    for (i, j), score in zip(pairs.tolist(), scores.tolist(), strict=True):
        a, b = sets[i], sets[j]
        if a != b:
            total, count = links[a].get(b, (0.0, 0))
            links[a][b] = links[b][a] = (total + score, count + 1)
    return links
