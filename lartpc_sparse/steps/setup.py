"""Device, engine and datasets of a chain."""

from __future__ import annotations

import os
from typing import Literal

import torch

from lartpc_sparse.config import ChainConfig, RunConfig
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.masked_view import MaskedShare
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import Engine, TorchEngine

__all__ = ["choose_device", "choose_engine", "set_threads", "training_dataset", "training_transforms"]


def choose_device(run: RunConfig) -> Literal["cpu", "cuda"]:
    """The device of `run.device`.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if run.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if run.device == "cuda" and not torch.cuda.is_available():
        raise UserError("run.device is cuda, but torch finds no CUDA device here; use device: auto or cpu")
    return run.device


def choose_engine(run: RunConfig) -> Engine:
    """The engine of `run.engine`; the torch engine runs on every device."""
    del run  # one engine so far
    return TorchEngine()


def set_threads(run: RunConfig) -> int:
    """Use `run.threads` CPU threads, or as many as the process may use; returns the number."""
    threads = run.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    return threads


def training_transforms(config: ChainConfig, *, training: bool) -> list[Transform]:
    """All transforms of an event that the network learns or is validated on: data, targets of the heads, view."""
    transforms = config.data.transform_list(training=training)
    transforms += [target for head in config.model.heads.values() if (target := head.targets()) is not None]
    view = masked_share(config.model)
    return transforms if view is None else [*transforms, view]


def masked_share(model: ModelConfig) -> MaskedShare | None:
    """The view of the head that masks regions; all events are masked when it is the only head."""
    name = model.masking_head
    if name is None:
        return None
    head = model.heads[name]
    view = head.view()
    assert view is not None
    return MaskedShare(view, head.view_fraction if len(model.heads) > 1 else 1.0)


def training_dataset(config: ChainConfig, reader: ReaderConfig, *, training: bool) -> EventDataset:
    """Events of a reader with the transforms of `training_transforms`.

    Raises:
        UserError: the reader's images have another number of axes than the model.
    """
    source = reader.build()
    if len(source.image_size) != config.model.dim:
        raise UserError(
            f"model.dim is {config.model.dim}, but the images of {reader.kind} have {len(source.image_size)} axes"
        )
    return EventDataset(
        source,
        training_transforms(config, training=training),
        seed=config.run.seed,
        on_bad_event=config.data.on_bad_event,
    )
