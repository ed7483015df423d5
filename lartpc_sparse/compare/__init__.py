"""Predictions of a nominal sample against those of detector variations of the same events."""

from lartpc_sparse.compare.comparison import Comparison, Variation, compare_predictions
from lartpc_sparse.compare.statistics import Estimate

__all__ = ["Comparison", "Estimate", "Variation", "compare_predictions"]
