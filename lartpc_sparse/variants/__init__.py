"""Chains with a section `for_each`: their variants, what these share, and the summary that compares them."""

from lartpc_sparse.variants.layout import SIMULATION, Study, lay_out
from lartpc_sparse.variants.run import run_study
from lartpc_sparse.variants.selection import select

__all__ = ["SIMULATION", "Study", "lay_out", "run_study", "select"]
