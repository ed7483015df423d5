"""A batch of all ranks, divided so that they finish together."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

__all__ = ["divide", "imbalance", "shared_batches"]


def divide(events: Sequence[int], counts: Int64[np.ndarray, " E"], ranks: int) -> list[list[int]]:
    """Shares of `ranks` ranks with about equally many voxels: the largest event first, to the rank with the least.

    Graham, SIAM J. Appl. Math. 17 (1969) 416, theorem 2: the largest share is at most 4/3 - 1 / (3 ranks) of the best
    possible. A rank gets no event when there are fewer events than ranks. Shares keep the order of the events.
    """
    sizes = np.maximum(counts[np.asarray(events, dtype=np.int64)], 1)
    loads = [(0, 0, rank) for rank in range(ranks)]  # voxels, events, rank
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    for place in np.argsort(-sizes, kind="stable").tolist():
        voxels, number, rank = heapq.heappop(loads)
        chosen[rank].append(place)
        heapq.heappush(loads, (voxels + int(sizes[place]), number + 1, rank))
    return [[events[place] for place in sorted(places)] for places in chosen]


def shared_batches(
    order: Int64[np.ndarray, " E"],
    counts: Int64[np.ndarray, " E"],
    ranks: int,
    *,
    events: int | None,
    max_voxels: int | None,
) -> list[list[list[int]]]:
    """Cut a sequence of events into batches of all ranks, each divided among them.

    Args:
        order: event numbers.
        counts: voxels of each event, indexed by event number.
        ranks: number of ranks.
        events: events a rank; the batch has `ranks` times as many.
        max_voxels: voxels a rank at most, an event larger than this is a share of its own; instead of `events`.

    Returns:
        For each batch the share of each rank; only the shares of the last batches may be empty.
    """
    batches: list[list[list[int]]] = []
    first = 0
    ends = np.cumsum(np.maximum(counts[order], 1))
    while first < len(order):
        if events is not None:
            stop = min(first + events * ranks, len(order))
            shares = divide(order[first:stop].tolist(), counts, ranks)
        else:
            assert max_voxels is not None
            used = int(ends[first - 1]) if first else 0
            stop = max(int(np.searchsorted(ends, used + max_voxels * ranks, side="right")), first + 1)
            stop = max(stop, min(first + ranks, len(order)))  # one event a rank always goes
            shares = divide(order[first:stop].tolist(), counts, ranks)
            while stop > first + ranks and _too_large(shares, counts, max_voxels):
                stop -= 1
                shares = divide(order[first:stop].tolist(), counts, ranks)
        batches.append(shares)
        first = stop
    return batches


def _too_large(shares: list[list[int]], counts: Int64[np.ndarray, " E"], max_voxels: int) -> bool:
    return any(len(share) > 1 and int(np.maximum(counts[share], 1).sum()) > max_voxels for share in shares)


def imbalance(batches: list[list[list[int]]], counts: Int64[np.ndarray, " E"]) -> float:
    """Voxels of the fullest rank over those of the mean rank, summed over the batches: 1 is perfect.

    Ranks wait for the fullest one in every step, so this is the time of an epoch over that of equal shares.
    """
    loads = np.array([[int(counts[share].sum()) if share else 0 for share in shares] for shares in batches])
    return float(loads.max(1).sum() / loads.mean(1).sum()) if loads.size and loads.sum() else 1.0
