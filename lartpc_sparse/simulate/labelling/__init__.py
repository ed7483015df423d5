"""Labels of simulated events in PILArNet-M semantics, whatever program simulated them.

Precedence in a voxel that several particles share: track, Michel electron, shower, delta ray, low energy.
"""

from lartpc_sparse.simulate.labelling.image import labelled_event
from lartpc_sparse.simulate.labelling.rules import LabelRules
from lartpc_sparse.simulate.labelling.truth import Deposits, Process, Tracks

__all__ = ["Deposits", "LabelRules", "Process", "Tracks", "labelled_event"]
