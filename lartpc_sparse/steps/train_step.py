"""Step `train`."""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime
from pathlib import Path

from lightning.pytorch import seed_everything

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.jobs import Ranks
from lartpc_sparse.network import Network
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.setup import choose_device, choose_engine, set_matmul_precision, training_dataset
from lartpc_sparse.train import TrainingData, fit
from lartpc_sparse.weights import find_weights, load_weights

__all__ = ["run_training"]


def run_training(
    config: ChainConfig, folder: RunFolder, config_yaml: str, *, resume: bool, ranks: Ranks | None = None
) -> None:
    """Train, or continue a training that was interrupted; an earlier training of other inputs is kept aside.

    Ranks see the same configuration and read the same files.

    Raises:
        UserError: see `fit`; weights to begin with that are missing or of another model.
    """
    assert config.train is not None
    assert config.model is not None
    assert config.data.train is not None
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the seed is in the configuration
    seed_everything(config.run.seed, verbose=False)
    device = choose_device(config.run)
    set_matmul_precision(device)
    validation = config.data.validation
    data = TrainingData(
        train=training_dataset(config, config.data.train, training=True),
        validation=None if validation is None else training_dataset(config, validation, training=False),
        batch=config.data.batch,
        seed=config.run.seed,
        num_workers=config.data.num_workers(device),
    )
    ranks = ranks or Ranks()
    with data.counting_voxels(several_ranks=ranks.several):
        network = Network(config.model, choose_engine(config.run).engine)
        if config.weights is not None:
            load_weights(network, find_weights(config.weights), fresh=config.train.fresh_heads)
    ranks.wait()  # `weights` are read, which may be in the folder that is put aside
    if not resume:
        ranks.on_first(lambda: _put_aside(folder.training))
    fit(
        network,
        config.train,
        data,
        folder=folder.training,
        device=device,
        config_yaml=config_yaml,
        resume=resume,
        ranks=ranks,
    )


def _put_aside(training: Path) -> None:
    if not training.exists():
        return
    stem = f"training-until-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    names = (stem if number == 0 else f"{stem}-{number}" for number in itertools.count())
    training.rename(next(path for name in names if not (path := training.with_name(name)).exists()))
