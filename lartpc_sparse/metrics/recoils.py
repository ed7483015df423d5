"""Clusters of an image against its true recoils: which are found, which clusters are fakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

__all__ = ["RecoilMatch", "match_recoils"]


@dataclass(frozen=True)
class RecoilMatch:
    """The clusters of one image matched to its recoils.

    Attributes:
        cluster: the cluster that found each recoil, -1 for none.
        fake: clusters that hold next to no signal.
    """

    cluster: Int64[np.ndarray, " R"]
    fake: Bool[np.ndarray, " K"]


def match_recoils(
    cluster: Int[np.ndarray, " N"],
    recoil: Int[np.ndarray, " N"],
    light: Float[np.ndarray, " N"],
    true_light: Float[np.ndarray, " R"],
    *,
    min_share: float,
    min_purity: float,
) -> RecoilMatch:
    """A recoil is found by the cluster with most of its light, if that is enough and the cluster is not mostly noise.

    Args:
        cluster: cluster of each pixel, from 0 without gaps; -1 for none.
        recoil: recoil whose signal pixel this is, -1 for background.
        light: true light of each pixel.
        true_light: of each recoil, in the units of `light`, all pixels together.
        min_share: of the light of a recoil that its cluster must hold.
        min_purity: share of the cluster's pixels that must be signal pixels of any recoil; clusters below are fakes.
    """
    clusters, recoils = int(cluster.max(initial=-1)) + 1, len(true_light)
    inside = cluster >= 0
    size = np.bincount(cluster[inside], minlength=clusters)
    signal = np.bincount(cluster[inside & (recoil >= 0)], minlength=clusters)
    pure = signal >= min_purity * size
    both = inside & (recoil >= 0)
    shares = np.zeros((recoils, clusters))
    np.add.at(shares, (recoil[both], cluster[both]), light[both])
    found = np.full(recoils, -1, dtype=np.int64)
    if clusters and recoils:
        best = np.where(pure, shares, -1.0).argmax(axis=1)
        held = shares[np.arange(recoils), best]
        good = pure[best] & (held >= min_share * np.maximum(true_light, 0)) & (held > 0)
        found[good] = best[good]
    return RecoilMatch(found, ~pure)
