"""Step `tune`: the decoding settings of the heads, chosen on validation events with the trained weights."""

from __future__ import annotations

import json
from typing import Any

import torch

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.heads.tuning import Tuner, with_settings
from lartpc_sparse.network import Network
from lartpc_sparse.progress import track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.load_network import averaged_heads, load_network
from lartpc_sparse.steps.prediction_data import PredictionBatch, prediction_data
from lartpc_sparse.steps.run_folder import RunFolder, write_json
from lartpc_sparse.steps.setup import choose_device, set_matmul_precision
from lartpc_sparse.weights import sha256_of

__all__ = ["run_tuning", "tuned_chain"]


def run_tuning(config: ChainConfig, folder: RunFolder) -> None:
    """Try the settings of every head on the events of `data.validation`; write the best ones and all trials.

    With `predict.augmentation` they are chosen as they will be used, on averages over copies of the events.

    Raises:
        UserError: no head has anything to choose, an event without truth, or what `load_network` raises.
    """
    assert config.tune is not None
    assert config.model is not None
    assert config.data.validation is not None
    device = choose_device(config.run)
    set_matmul_precision(device)
    network = load_network(config, folder).to(device)
    tuners = {name: tuner for name in config.model.heads if (tuner := network.head(name).tuner()) is not None}
    if not tuners:
        raise UserError(
            "the section tune has nothing to choose: no head of "
            f"{', '.join(config.model.heads)} has thresholds; leave the section out"
        )
    predictor = _predictor(config, network)
    data = prediction_data(config, "validation", device, config.data.batch)
    total = len(data.events)
    with track("tune", total=total, unit="events", rate="voxels") as bar:
        for group in data.loader(data.counts()):
            _update(tuners, predictor, group)
            bar.advance(len(group.events), voxels=group.plain.num_voxels)
    results = {name: tuner.result() for name, tuner in tuners.items()}
    write_json(
        folder.tuned,
        {
            **provenance(),
            "weights_sha256": sha256_of(folder.checkpoint),
            "events": total,
            "settings": {name: result.settings for name, result in results.items()},
            "trials": {name: result.trials for name, result in results.items()},
        },
    )


def _predictor(config: ChainConfig, network: Network) -> Predictor:
    """The network, with the copies of the events that the step `predict` averages over."""
    if config.predict is None or config.predict.augmentation is None:
        return Predictor((network,))
    return Predictor((network,), config.predict.augmentation, averaged_heads(config))


@torch.inference_mode()
def _update(tuners: dict[str, Tuner], predictor: Predictor, group: PredictionBatch) -> None:
    masking = predictor.first.config.masking_head
    device = next(predictor.first.parameters()).device
    for batch, names in (
        (group.plain, tuple(name for name in tuners if name != masking)),
        (group.masked, tuple(name for name in tuners if name == masking)),
    ):
        if batch is not None and names:
            moved = batch.to(device)
            outputs = predictor.outputs(moved, names)
            for name in names:
                tuners[name].update(outputs[name], moved, group.plain)


def tuned_chain(config: ChainConfig, folder: RunFolder) -> ChainConfig:
    """The chain with the settings that `tune` chose in place of those that its heads were written with.

    Raises:
        UserError: nothing was chosen yet, the file is damaged, or its settings do not fit the heads any more.
    """
    assert config.model is not None
    if not folder.tuned.exists():
        raise UserError(f"the chain has a section tune, but there is no {folder.tuned}; run the step tune first")
    try:
        settings: dict[str, dict[str, Any]] = json.loads(folder.tuned.read_text(encoding="utf-8"))["settings"]
    except (ValueError, KeyError) as error:
        raise UserError(f"{folder.tuned} is damaged ({error}); run the step tune again") from error
    heads = dict(config.model.heads)
    for name, chosen in settings.items():
        if name not in heads:
            raise UserError(f"{folder.tuned} is of a head {name} that the model does not have; run the step tune again")
        heads[name] = type(heads[name]).model_validate(with_settings(heads[name].model_dump(mode="json"), chosen))
    return config.model_copy(update={"model": config.model.model_copy(update={"heads": heads})})
