"""Particles from the clusters that a head finds: configuration, output, metrics."""

from lartpc_sparse.heads.particles.config import GeometricParticlesConfig, ParticlesConfig
from lartpc_sparse.heads.particles.evaluator import with_particle_metrics
from lartpc_sparse.heads.particles.output import class_columns, with_particles

__all__ = [
    "GeometricParticlesConfig",
    "ParticlesConfig",
    "class_columns",
    "with_particle_metrics",
    "with_particles",
]
