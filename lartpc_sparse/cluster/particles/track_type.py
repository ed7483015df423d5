"""Proton or muon/pion, from the energy along a track."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field

from lartpc_sparse.cluster.particles.path import Profile
from lartpc_sparse.cluster.particles.stopping_power import MUON_MASS_MEV, PROTON_MASS_MEV, dedx_at_range
from lartpc_sparse.schema import Config

__all__ = ["TrackTypeConfig", "TrackTypes", "find_track_types"]


class TrackTypeConfig(Config):
    """How the energy along a track is compared with that of a proton and of a muon."""

    slab: float = Field(3.0, gt=0, description="width of the slabs in which the energy is summed up, voxels")
    longest_cm: float = Field(30.0, gt=0, description="only so much of the track before its end counts, cm")
    relative_error: float = Field(0.2, gt=0, description="of the energy loss in a slab, as a part of the expected one")
    absolute_error: float = Field(0.3, gt=0, description="of the energy loss in a slab, MeV/cm, added in quadrature")
    largest_pull: float = Field(3.0, gt=0, description="a slab counts as no farther off than this, standard deviations")
    missing_cm: tuple[float, ...] = Field(
        (0.0, 3.0, 10.0, 30.0),
        min_length=1,
        description="residual ranges at the last voxel that are tried: 0 for a particle that stops there, more for one "
        "that leaves the image or interacts, cm",
    )


class TrackTypes:
    """Types of K clusters.

    Attributes:
        proton: score 0..1, the higher the likelier a proton and not a muon or pion; NaN without a full slab.
        backwards: the particle seems to stop at the first end of the path.
    """

    def __init__(self, proton: Float64[np.ndarray, " K"], backwards: Bool[np.ndarray, " K"]) -> None:
        self.proton = proton
        self.backwards = backwards


def find_track_types(
    profile: Profile, chosen: Bool[np.ndarray, " K"], voxel_cm: float, config: TrackTypeConfig
) -> TrackTypes:
    """Compare the energy along each cluster with templates.

    Templates are the Bethe formula over residual range (`dedx_at_range`), for a proton and a muon (a pion differs from
    a muon by 8 % in range), in both directions, for several residual ranges at the last voxel. A slab adds half its
    squared pull, capped. Score = 1 / (1 + exp(best sum of the proton - best sum of the muon)). First and last slab do
    not count: they are filled partly.

    Args:
        profile: of the clusters, from `make_profile` with the width `config.slab`.
        chosen: clusters that are tracks; the others get NaN.
        voxel_cm: edge of a voxel.
        config: errors and tries.
    """
    number = len(profile.length)
    inner = _inner(profile.cluster) & chosen[profile.cluster]
    cluster, step = profile.cluster[inner], profile.step[inner] * voxel_cm
    usable = step > 0.1 * voxel_cm
    cluster, step = cluster[usable], step[usable]
    loss = profile.energy[inner][usable] / step
    reached = profile.reached[inner][usable] * voxel_cm
    ahead = profile.length[cluster] * voxel_cm - reached
    width = float(np.median(step)) if len(step) else 1.0
    best = np.full((2, 2, number), np.inf)  # species, direction
    for direction, residual in enumerate((ahead, reached)):
        near = residual <= config.longest_cm
        own, distance, seen = cluster[near], residual[near], loss[near]
        for species, mass in enumerate((PROTON_MASS_MEV, MUON_MASS_MEV)):
            for missing in config.missing_cm:
                expected = dedx_at_range(distance + missing, mass, width)
                error = np.hypot(config.relative_error * expected, config.absolute_error)
                pull = np.minimum(np.abs(seen - expected) / error, config.largest_pull)
                total = np.bincount(own, 0.5 * pull**2 + np.log(error), number).astype(np.float64)
                best[species, direction] = np.minimum(best[species, direction], total)
    both = best.min(axis=1)
    proton = 1.0 / (1.0 + np.exp(np.clip(both[0] - both[1], -50, 50)))
    proton[np.bincount(cluster, minlength=number) == 0] = np.nan
    likelier = both.argmin(axis=0)
    of_likelier = np.take_along_axis(best, likelier[None, None], axis=0)[0]
    return TrackTypes(proton, of_likelier[1] < of_likelier[0])


def _inner(cluster: Int64[np.ndarray, " S"]) -> Bool[np.ndarray, " S"]:
    """Slabs with a slab of the same cluster on either side."""
    same = cluster[1:] == cluster[:-1]
    return np.asarray((np.append(False, same) & np.append(same, False))[: len(cluster)])
