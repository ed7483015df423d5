"""The optimisers of a training."""

from __future__ import annotations

import torch
from torch import nn

from lartpc_sparse.train.config import OptimizerConfig
from lartpc_sparse.train.muon import Muon

__all__ = ["build_optimizer"]


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of `train.optimizer` for all parameters of a network."""
    parameters = network.parameters()
    if config.kind == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, nesterov=True
        )
    if config.kind == "muon":
        return Muon(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return kind(parameters, lr=config.lr, betas=(config.momentum, 0.999), weight_decay=config.weight_decay)
