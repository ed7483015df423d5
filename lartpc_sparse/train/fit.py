"""Training through Lightning's Trainer: from readers and configuration to checkpoints and logs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import TensorBoardLogger

from lartpc_sparse.data.sampler import EventBatchSampler
from lartpc_sparse.jobs import Ranks, StopSignals, lost_ranks_named, note
from lartpc_sparse.network import Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import BatchNorm
from lartpc_sparse.train.checkpoint import Position, position
from lartpc_sparse.train.config import TrainConfig
from lartpc_sparse.train.csv_logger import CsvLogger
from lartpc_sparse.train.durable_checkpoints import DurableCheckpoints, newest_checkpoint
from lartpc_sparse.train.loaders import EpochLoaders, TrainingData
from lartpc_sparse.train.module import TrainingModule
from lartpc_sparse.train.save_and_stop import SaveAndStop
from lartpc_sparse.train.trainer_options import callbacks_for, devices_for, environment_for, precision_for, quiet

__all__ = ["LOG", "TrainingData", "fit"]

LOG = "training.csv"

logger = logging.getLogger("lartpc_sparse")


def fit(
    network: Network,
    config: TrainConfig,
    data: TrainingData,
    *,
    folder: Path,
    device: Literal["cpu", "cuda"],
    config_yaml: str,
    resume: bool,
    ranks: Ranks | None = None,
) -> None:
    """Train `network`; checkpoints `best.ckpt` and `last.ckpt`, the log `training.csv` and TensorBoard in `folder`.

    Args:
        network: trained in place.
        config: section `train`.
        data: what to train and validate on.
        folder: made if missing.
        device: what to train on.
        config_yaml: stored in the checkpoints.
        resume: continue from `last.ckpt` if there is one; from the one before if it is damaged.
        ranks: that train together; None: this process alone.

    Raises:
        UserError: damaged checkpoints, early stop without validation events.
        LossError: the loss is not finite.
        OutputError: a checkpoint cannot be written.
        RankError: another rank has ended.
        Stopped: after a signal, once the state is saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.early_stop is not None and data.validation is None:
        raise UserError("train.early_stop watches the validation loss, but data.validation is missing")
    ranks = ranks or Ranks()
    if ranks.several:
        rank_zero_only.rank = ranks.rank  # type: ignore[attr-defined]  # Lightning sets it later than the log is begun
    found = newest_checkpoint(folder) if resume else None
    first_step = 0 if found is None else int(found[1]["global_step"])
    quiet()
    for layer in network.modules():
        if isinstance(layer, BatchNorm):
            layer.across_ranks = ranks.several and config.batch_norm_across_ranks
    log, stop = CsvLogger(folder / LOG, first_step=first_step), StopSignals()
    saver = SaveAndStop(folder, ranks, stop, config.checkpoint_every_steps, first_step)
    trainer = pl.Trainer(
        **devices_for(config, device, ranks),
        precision=precision_for(config, device),
        max_epochs=config.epochs,
        gradient_clip_val=config.clip_norm,
        accumulate_grad_batches=config.accumulate,
        check_val_every_n_epoch=config.validate_every,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every_steps,
        callbacks=[*callbacks_for(config, folder, data), saver],
        logger=[log, TensorBoardLogger(folder, name="tensorboard", version="", purge_step=first_step)],
        plugins=[DurableCheckpoints(log.sync), environment_for(ranks)],
        reload_dataloaders_every_n_epochs=1,  # each epoch has its own sampler state
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    _check_launch(config, trainer.world_size, ranks)
    sampler = data.sampler(trainer, training=True)
    batches = [sampler.num_batches(epoch) for epoch in range(config.epochs)]
    if sum(batches) == 0:
        raise UserError("data.train has no events")
    start = Position() if found is None else position(found[1], batches)
    _tell(ranks, sampler, start, first_step)
    module = TrainingModule(
        network,
        config,
        total_steps=sum(-(-number // config.accumulate) for number in batches),
        total_batches=sum(batches),
        batches_done=sum(batches[: start.epoch]) + start.batch,
        config_yaml=config_yaml,
        folder=folder,
        ranks=ranks,
    )
    try:
        with stop.noted(), lost_ranks_named():
            trainer.fit(
                module,
                datamodule=EpochLoaders(data, sampler, start),
                ckpt_path=None if found is None else str(found[0]),
                weights_only=True,
            )
    except SystemExit as exit_:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from exit_


def _check_launch(config: TrainConfig, processes: int, ranks: Ranks) -> None:
    """Without a launcher Lightning starts the processes itself, and each knows only of itself.

    Raises:
        UserError: an option that acts across ranks cannot act then.
    """
    if ranks.several or processes == 1:
        return
    cure = f"start them with torchrun --nproc-per-node {processes} -m lartpc_sparse.run, or set train.devices to 1"
    wanted = {
        "train.on_bad_loss: skip": config.on_bad_loss == "skip",
        "train.batch_norm_across_ranks": config.batch_norm_across_ranks,
    }
    refused = [name for name, asked in wanted.items() if asked]
    if refused:
        raise UserError(f"{' and '.join(refused)} cannot act over {processes} devices without a launcher; {cure}")
    if config.loss_across_ranks == "global":
        logger.warning("%d devices without a launcher: each takes the loss of its own events; %s", processes, cure)


def _tell(ranks: Ranks, sampler: EventBatchSampler, start: Position, step: int) -> None:
    """Where the training begins, and how evenly the ranks are loaded."""
    if not ranks.first:
        return
    note("training_begins", epoch=start.epoch, batch=start.batch, step=step)
    if ranks.several:
        over = sampler.imbalance(start.epoch)
        note("rank_imbalance", fullest_over_mean=over)
        logger.info(
            "%d ranks; in every step the fullest one has %.3f times the voxels of the mean, over epoch %d",
            ranks.size,
            over,
            start.epoch + 1,
        )
