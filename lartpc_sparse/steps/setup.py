"""Device, engine and datasets of a chain."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal

import torch

from lartpc_sparse.config import ChainConfig, RunConfig
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.masked_view import MaskedShare
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.jobs import Ranks
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.engines import EngineChoice, emulates_bf16, registry

__all__ = [
    "check_precision",
    "choose_device",
    "choose_engine",
    "set_matmul_precision",
    "set_threads",
    "slow_precision",
    "training_dataset",
    "training_transforms",
]


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


def choose_engine(run: RunConfig) -> EngineChoice:
    """The engine of `run.engine` on the device of `run.device`.

    Raises:
        UserError: see `choose_device` and `lartpc_sparse.sparse.choose_engine`.
    """
    return registry.choose_engine(run.engine, choose_device(run))


def check_precision(section: str, precision: str, device: str) -> None:
    """Refuse what torch cannot do on a device.

    Raises:
        UserError: float16 on a CPU.
    """
    if precision == "16" and device == "cpu":
        raise UserError(f"{section}.precision 16 needs a CUDA device; use bf16 or 32 on a CPU")


def slow_precision(precisions: Iterable[str], choice: EngineChoice) -> str | None:
    """What to tell the user when a precision is slower here than its name promises; None when there is nothing."""
    if "bf16" not in precisions or not emulates_bf16(choice.engine):
        return None
    return "precision bf16: this processor has no AVX512_BF16; the kernels emulate it, correct but not faster than 32"


def set_matmul_precision(device: str) -> None:
    """Let products of float32 be rounded to TF32 on a GPU; to be called before an engine is chosen, which reads it."""
    torch.set_float32_matmul_precision("high" if device == "cuda" else "highest")


def set_threads(run: RunConfig, ranks: Ranks | None = None) -> int:
    """Use `run.threads` CPU threads, or as many as the process may use; returns the number.

    torchrun binds its ranks to no processors, so they share those of the node; srun says how many a task has.
    """
    available = len(os.sched_getaffinity(0))
    if ranks is not None and ranks.launcher == "torchrun":
        available = max(available // ranks.local_size, 1)
    available = min(available, int(os.environ.get("SLURM_CPUS_PER_TASK", available)))
    threads = run.threads or available
    torch.set_num_threads(threads)
    return threads


def training_transforms(config: ChainConfig, *, training: bool) -> list[Transform]:
    """All transforms of an event that the network learns or is validated on: data, targets of the heads, view."""
    assert config.model is not None
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
    return MaskedShare(view, head.view_fraction if len(model.heads) > 1 else 1.0, head.hints)


def training_dataset(config: ChainConfig, reader: ReaderConfig, *, training: bool) -> EventDataset:
    """Events of a reader with the transforms of `training_transforms`.

    Raises:
        UserError: the reader's images have another number of axes than the model.
    """
    assert config.model is not None
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
        overlay=config.data.overlay_on(source, "train" if training else "validation"),
    )
