"""Trained weights: files to hand on, by name, and into a network. `python -m lartpc_sparse.weights` lists them."""

from lartpc_sparse.weights.catalogue import card_of, find_weights, name_of, packaged_names, sha256_of
from lartpc_sparse.weights.checkpoint import BEST, CHECKPOINT_KEY, LAST, read_checkpoint
from lartpc_sparse.weights.description import Description, describe, read_state
from lartpc_sparse.weights.fill import fill_from_weights
from lartpc_sparse.weights.load import differences, load_weights
from lartpc_sparse.weights.run_settings import describe_as_used
from lartpc_sparse.weights.weights_file import Storage, write_weights

__all__ = [
    "BEST",
    "CHECKPOINT_KEY",
    "LAST",
    "Description",
    "Storage",
    "card_of",
    "describe",
    "describe_as_used",
    "differences",
    "fill_from_weights",
    "find_weights",
    "load_weights",
    "name_of",
    "packaged_names",
    "read_checkpoint",
    "read_state",
    "sha256_of",
    "write_weights",
]
