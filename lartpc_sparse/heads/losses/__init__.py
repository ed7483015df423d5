"""Losses as pure functions."""

from lartpc_sparse.heads.losses.embedding import MaskLoss, embedding_loss_terms
from lartpc_sparse.heads.losses.inpainting import (
    RegressionForm,
    activation_loss,
    charge_loss,
    track_nontrack_terms,
)
from lartpc_sparse.heads.losses.instances import Instances, find_instances
from lartpc_sparse.heads.losses.lovasz import lovasz_hinge

__all__ = [
    "Instances",
    "MaskLoss",
    "RegressionForm",
    "activation_loss",
    "charge_loss",
    "embedding_loss_terms",
    "find_instances",
    "lovasz_hinge",
    "track_nontrack_terms",
]
