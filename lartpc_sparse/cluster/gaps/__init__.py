"""What can be said of a gap from its two sides: where charge goes in, what faces what, and where it may run."""

from lartpc_sparse.cluster.gaps.bridges import Bridges, BridgesConfig, find_bridges
from lartpc_sparse.cluster.gaps.candidates import CandidatesConfig, DenseConfig, GrownConfig
from lartpc_sparse.cluster.gaps.exits import Exits, find_exits
from lartpc_sparse.cluster.gaps.filled_event import filled_event
from lartpc_sparse.cluster.gaps.fills import Fill, crossing_ends, line_fill, own_ends_fill, reflection_fill
from lartpc_sparse.cluster.gaps.tubes import Points, dilated, sample_lines, unique_inside, voxels_of_line

__all__ = [
    "Bridges",
    "BridgesConfig",
    "CandidatesConfig",
    "DenseConfig",
    "Exits",
    "Fill",
    "GrownConfig",
    "Points",
    "crossing_ends",
    "dilated",
    "filled_event",
    "find_bridges",
    "find_exits",
    "line_fill",
    "own_ends_fill",
    "reflection_fill",
    "sample_lines",
    "unique_inside",
    "voxels_of_line",
]
