"""The particles of an event as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped

__all__ = ["ParticleTable"]


@dataclass(frozen=True)
class ParticleTable:
    """P particles in D axes; positions are in voxels, voxel i reaches from i to i + 1.

    Attributes:
        semantic: class, number in the head's classes.
        voxels: how many.
        fragments: clusters that it is made of.
        energy: sum over the voxels, MeV or the detector's units.
        start: of a shower the end that it comes from, of a track the end at the vertex or with the lower energy loss.
        end: the voxel farthest from there along the particle.
        direction: unit vector at the start, pointing away from it; NaN for a particle of one voxel.
        length: from start to end along the particle, voxels.
        energy_loss: energy / length, MeV/cm.
        proton_score: of tracks, 0 (muon or pion) to 1 (proton); NaN for others and for tracks too short to tell.
        parent: row of the particle that a delta or Michel touches, -1 none.
        interaction: number of the interaction, 0, 1, ...
    """

    semantic: Int64[np.ndarray, " P"]
    voxels: Int64[np.ndarray, " P"]
    fragments: Int64[np.ndarray, " P"]
    energy: Float64[np.ndarray, " P"]
    start: Float64[np.ndarray, "P D"]
    end: Float64[np.ndarray, "P D"]
    direction: Float64[np.ndarray, "P D"]
    length: Float64[np.ndarray, " P"]
    energy_loss: Float64[np.ndarray, " P"]
    proton_score: Float64[np.ndarray, " P"]
    parent: Int64[np.ndarray, " P"]
    interaction: Int64[np.ndarray, " P"]

    def __len__(self) -> int:
        return len(self.semantic)

    def columns(self) -> dict[str, Shaped[np.ndarray, "P ..."]]:
        """As stored: int32 and float32, `semantic` int8."""
        stored = {
            name: values.astype(np.int32 if values.dtype.kind == "i" else np.float32)
            for name, values in vars(self).items()
        }
        return {**stored, "semantic": self.semantic.astype(np.int8)}
