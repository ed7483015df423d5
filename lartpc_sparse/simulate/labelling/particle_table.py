"""The particle table of a simulated event."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.simulate.labelling.fragments import NumberedFragments
from lartpc_sparse.simulate.labelling.truth import Tracks

__all__ = ["particle_table"]

_GEV = 1000.0


def particle_table(
    tracks: Tracks,
    fragments: NumberedFragments,
    fragment: Int64[np.ndarray, " N"],
    semantic: Int64[np.ndarray, " F"],
) -> dict[str, Shaped[np.ndarray, "P ..."]]:
    """One row a cluster, and one for every primary without any.

    The rows: low energy (if there is any), the fragments in their order, then the primaries that have no fragment
    (`n_points` 0, `fragment` and `group` -1). A row of a fragment describes its particle: mass in MeV, momentum in GeV,
    kinetic energy in MeV, where it starts in voxels (`vertex_x`, ...), `pdg`, `parent_pdg`, the simulation's
    `track_id` and `parent_track_id`, and `is_primary`. What low energy has no value for is -1.

    Args:
        tracks: all particles of the simulation.
        fragments: of the event, in order.
        fragment: number of every voxel's fragment, -1 low energy.
        semantic: class of every fragment, index into `SIX`.
    """
    low_energy = int((fragment < 0).sum())
    first = np.full(1 if low_energy else 0, -1, dtype=np.int64)
    seen = set(fragments.head.tolist())
    unseen = np.array([row for row in np.flatnonzero(tracks.parent < 0) if row not in seen], dtype=np.int64)
    none = np.full(len(unseen), -1, dtype=np.int64)
    row = np.concatenate([first, fragments.head, unseen])

    sizes = np.bincount(fragment[fragment >= 0], minlength=len(fragments.head))
    columns = {
        "n_points": np.concatenate([first * -low_energy, sizes, none + 1]),
        "fragment": np.concatenate([first, np.arange(len(sizes)), none]),
        "group": np.concatenate([first, fragments.group, none]),
        "interaction": np.concatenate([first, fragments.interaction, tracks.interaction[unseen]]),
        "semantic": np.concatenate([first * -SIX.index("low_energy"), semantic, none]),
        "pid": np.concatenate([first, fragments.pid, none]),
        **_of_tracks(tracks, row),
    }
    return {
        name: column.astype(np.int32 if column.dtype.kind in "ib" else np.float32) for name, column in columns.items()
    }


def _of_tracks(tracks: Tracks, row: Int64[np.ndarray, " P"]) -> dict[str, Shaped[np.ndarray, " P"]]:
    """What is known of the particles in these rows; -1 where the row is -1."""
    energy, mass = tracks.kinetic_energy_mev, tracks.mass_mev
    momentum = np.sqrt(energy * (energy + 2 * mass)) / _GEV
    has_parent = tracks.parent >= 0
    parent = np.maximum(tracks.parent, 0)
    vector = momentum[:, None] * tracks.direction
    values = {
        "mass_mev": mass,
        "momentum_gev": momentum,
        **{f"vertex_{axis}": tracks.start[:, i] for i, axis in enumerate("xyz")},
        "is_primary": (~has_parent).astype(np.int64),
        **{f"p{axis}_gev": vector[:, i] for i, axis in enumerate("xyz")},
        "parent_pdg": np.where(has_parent, tracks.pdg[parent], -1),
        "parent_track_id": np.where(has_parent, tracks.track_id[parent], -1),
        "pdg": tracks.pdg,
        "track_id": tracks.track_id,
        "kinetic_energy_mev": energy,
    }
    return {name: np.where(row >= 0, np.append(column, -1)[row], -1) for name, column in values.items()}
