"""Random embeddings of an event, and their decoding as it is described, voxel by voxel."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def decode_slowly(embedding, margin, seediness, seed_threshold, probability_threshold, leftover, min_voxels=1):
    """The description of the algorithm, voxel by voxel."""
    n = len(embedding)
    if n == 0:
        return []

    def exponent(i, s):
        d2 = sum((float(a) - float(b)) ** 2 for a, b in zip(embedding[i], embedding[s], strict=True))
        return d2 / (2 * max(float(margin[s]), 1e-12) ** 2)

    free, cluster, seeds = set(range(n)), [-1] * n, []
    while free:
        s = min(free, key=lambda i: (-seediness[i], i))
        if seediness[s] < seed_threshold:
            break
        claimed = [i for i in free if math.exp(-exponent(i, s)) > probability_threshold]
        if len(claimed) >= min_voxels:
            for i in claimed:
                cluster[i] = len(seeds)
            seeds.append(s)
        free -= set(claimed)
    if not seeds:
        return [0] * n
    if leftover == "nearest":
        # highest p is lowest exponent; p itself underflows to 0 for far voxels
        cluster = [
            min(range(len(seeds)), key=lambda k: exponent(i, seeds[k])) if c < 0 else c for i, c in enumerate(cluster)
        ]
    return cluster


@st.composite
def events(draw):
    n = draw(st.integers(0, 30))
    dim = draw(st.integers(2, 3))
    # a coarse grid makes equal positions and equal seediness common
    embedding = draw(hnp.arrays(np.float32, (n, dim), elements=st.integers(-4, 4).map(lambda v: v / 4)))
    margin = draw(hnp.arrays(np.float32, n, elements=st.sampled_from([0.0, 0.05, 0.2, 0.7, 1.9])))
    seediness = draw(hnp.arrays(np.float32, n, elements=st.integers(0, 16).map(lambda v: v / 16)))
    return embedding, margin, seediness
