"""Clusters (shower fragments, tracks, ...) of an event to its particles and interactions."""

from lartpc_sparse.cluster.particles.build import BuildConfig, Particles, build_particles
from lartpc_sparse.cluster.particles.interactions import InteractionConfig
from lartpc_sparse.cluster.particles.showers import ShowerGroupingConfig
from lartpc_sparse.cluster.particles.table import ParticleTable
from lartpc_sparse.cluster.particles.track_type import TrackTypeConfig

__all__ = [
    "BuildConfig",
    "InteractionConfig",
    "ParticleTable",
    "Particles",
    "ShowerGroupingConfig",
    "TrackTypeConfig",
    "build_particles",
]
