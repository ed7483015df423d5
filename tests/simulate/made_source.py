"""A source in pure Python, for the step that writes its events; processes find it by its name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from lartpc_sparse.data.classes import FIVE
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.base import EventSource, SourceConfig, Stream

__all__ = ["MadeConfig"]


class MadeConfig(SourceConfig):
    kind: Literal["made_source:MadeConfig"] = "made_source:MadeConfig"
    voxels: int = 20
    bad: tuple[int, ...] = ()
    missing: bool = False
    die_at: int | None = None
    wait_s: float = 0.0
    log: str | None = None

    def build(self) -> EventSource:
        if self.missing:
            raise UserError("the package of this source is missing: install it")
        return MadeSource(self)


class MadeSource:
    def __init__(self, config: MadeConfig) -> None:
        self._config = config

    @property
    def streams(self) -> Mapping[str, Stream]:
        return {
            name: Stream((32, 32, 32), FIVE, voxel_size_mm=3.0, origin="made", attributes={"physics": "none"})
            for name in ("left", "right")
        }

    def make(self, seed: int, index: int) -> Mapping[str, Event]:
        config = self._config
        if config.log is not None:
            with Path(config.log).open("a") as file:
                file.write(f"{index}\n")
        time.sleep(config.wait_s)
        if index in config.bad:
            raise BadEventError(f"event {index} cannot be made: it is bad")
        if index == config.die_at:
            os._exit(9)
        return {name: self._image(seed, index, salt) for salt, name in enumerate(("left", "right"))}

    def _image(self, seed: int, index: int, salt: int) -> Event:
        rng = np.random.default_rng([seed, index, salt])
        cells = rng.choice(32**3, self._config.voxels, replace=False)
        return Event(
            key=EventKey("made", index),
            coords=np.stack(np.unravel_index(cells, (32, 32, 32)), axis=1).astype(np.int32),
            energy=rng.uniform(0.1, 1, len(cells)).astype(np.float32),
            image_size=(32, 32, 32),
            classes=FIVE,
            labels={"semantic": rng.integers(0, 5, len(cells)), "instance": np.full(len(cells), index)},
        )
