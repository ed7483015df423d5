"""The networks that predict, with their weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.network import Network
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.setup import choose_engine
from lartpc_sparse.weights import Description, describe, load_weights

__all__ = ["averaged_heads", "load_network", "load_predictor"]

logger = logging.getLogger("lartpc_sparse")


def load_network(config: ChainConfig, folder: RunFolder) -> Network:
    """The network of the chain with the weights that `predict` uses.

    Raises:
        UserError: no or damaged weights, or those of another model.
    """
    assert config.model is not None
    network = Network(config.model, choose_engine(config.run).engine)
    load_weights(network, folder.checkpoint)
    return network.eval()


def averaged_heads(config: ChainConfig) -> tuple[str, ...]:
    """Names of the heads that `ensemble` and `augmentation` of the section `predict` average."""
    assert config.predict is not None
    assert config.model is not None
    return tuple(config.model.heads) if config.predict.average_heads is None else config.predict.average_heads


def load_predictor(config: ChainConfig, folder: RunFolder, device: str) -> Predictor:
    """What `predict` predicts with: one network or an ensemble, and the copies of the events.

    The networks of an ensemble may have backbones of their own.

    Raises:
        UserError: no or damaged weights, or those of other heads.
    """
    assert config.predict is not None
    assert config.model is not None
    ensemble = bool(config.predict.ensemble)
    networks = [_member(config, path) for path in folder.checkpoints] if ensemble else [load_network(config, folder)]
    averages = ensemble or config.predict.augmentation is not None
    return Predictor(
        tuple(network.to(device) for network in networks),
        config.predict.augmentation,
        averaged_heads(config) if averages else (),
        config.predict.tiles,
    )


def _member(config: ChainConfig, path: Path) -> Network:
    assert config.model is not None
    described = describe(path)
    model = config.model.model_copy(update={"backbone": described.model_config().backbone})
    _compare_transforms(config, described)
    network = Network(model, choose_engine(config.run).engine)
    load_weights(network, path)
    return network.eval()


def _compare_transforms(config: ChainConfig, described: Description) -> None:
    """All networks see the same events; say so where one was trained on others."""
    ours: list[Any] = [transform.model_dump(mode="json") for transform in config.data.transforms]
    if ours != list(described.transforms):
        logger.warning(
            "predict.ensemble: %s was trained with other data.transforms than those of this chain", described.name
        )
