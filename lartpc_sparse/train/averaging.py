"""Keeps an average of the weights in a training, and validates and saves with it.

Lightning has callbacks of its own for this; they write through `.data`, which what is prepared for fused inference
cannot notice, and validate with the untrained weights until the average begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import update_bn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.network import Network
from lartpc_sparse.train.average_config import AverageConfig
from lartpc_sparse.train.module import TrainingModule

__all__ = ["WeightAverage"]

_OWN, _AVERAGE = "own_state_dict", "averaged_state_dict"
"""Entries of a checkpoint: the weights that the optimiser goes on with, and their average."""


class WeightAverage(pl.Callback):
    """Keeps the average beside the weights of the optimiser, and validates and saves with it.

    A checkpoint's `state_dict` is the average, so that all who read checkpoints use it; the weights of the optimiser
    are beside it for a training that goes on. The network gets weights through `load_state_dict` alone, which also
    forgets what was prepared for inference.

    Args:
        config: section `train.average`.
        batches: the given number of batches for recomputed statistics, the same at every call.
    """

    def __init__(self, config: AverageConfig, batches: Callable[[int], Iterable[Batch]]) -> None:
        self.config = config
        self.batches = batches
        self._average: dict[str, Tensor] | None = None  # None until it begins
        self._ready: dict[str, Tensor] | None = None  # with the statistics of the batch norms; None: not made yet
        self._own: dict[str, Tensor] | None = None  # weights of the optimiser while the network holds the average
        self._count = self._step = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the weights into the average if the optimiser made a step."""
        del outputs, batch, batch_idx
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            if self.config.counts(self._step, _module(pl_module).total_steps):
                self._add(_module(pl_module).network)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average."""
        del trainer
        self._enter(_module(pl_module).network)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the weights of the optimiser."""
        del trainer
        self._leave(_module(pl_module).network)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The network that was trained in place ends with the average."""
        del trainer
        self._enter(_module(pl_module).network)
        self._own = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the weights, and those of the optimiser beside it."""
        del trainer
        if self._average is None:
            return
        checkpoint[_OWN] = _copy(checkpoint["state_dict"])
        checkpoint[_AVERAGE] = _copy(self._average)
        self._enter(_module(pl_module).network)
        checkpoint["state_dict"] = _copy(pl_module.state_dict())
        self._leave(_module(pl_module).network)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Continue with average and weights where the checkpoint left them."""
        del trainer
        if _OWN in checkpoint:
            own = _module(pl_module).network.state_dict()
            self._average = {
                name: value.to(own[name].device, copy=True) for name, value in checkpoint[_AVERAGE].items()
            }
            pl_module.load_state_dict(checkpoint[_OWN])

    def state_dict(self) -> dict[str, Any]:
        """How far the average is."""
        return {"count": self._count, "step": self._step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from there."""
        self._count, self._step = state_dict["count"], state_dict["step"]

    @torch.no_grad()
    def _add(self, network: Network) -> None:
        weights = network.state_dict()
        if self._average is None:
            self._average = _copy(weights)
        else:
            names = [name for name, value in weights.items() if value.is_floating_point()]
            self.config.update([self._average[name] for name in names], [weights[name] for name in names], self._count)
            self._average |= _copy({name: value for name, value in weights.items() if name not in names})  # counters
        self._count += 1
        self._ready = None

    @torch.no_grad()
    def _enter(self, network: Network) -> None:
        """The average into the network; nothing happens before it begins."""
        if self._average is None:
            return
        self._own = _copy(network.state_dict())
        network.load_state_dict(self._average if self._ready is None else self._ready)
        if self.config.batch_norm == "recomputed" and self._ready is None:
            update_bn(self.batches(self.config.batch_norm_batches), network, next(network.parameters()).device)
            self._ready = _copy(network.state_dict())

    @torch.no_grad()
    def _leave(self, network: Network) -> None:
        if self._own is not None:
            network.load_state_dict(self._own)
            self._own = None


def _module(module: pl.LightningModule) -> TrainingModule:
    assert isinstance(module, TrainingModule)
    return module


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
