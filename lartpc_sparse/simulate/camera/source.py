"""The source `camera`: frames with electron and nuclear recoils, their truth, and pedestal frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32
from pydantic import Field, model_validator

from lartpc_sparse.data.camera.frame_image import SIGNAL_CLASSES, FrameCounts
from lartpc_sparse.data.camera.frame_writer import FrameWriter
from lartpc_sparse.data.dataset import event_rng
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.simulate.base import SourceConfig, Stream
from lartpc_sparse.simulate.camera.light import LightConfig, Spot, render
from lartpc_sparse.simulate.camera.recoils import RecoilConfig, electron_track, nuclear_track
from lartpc_sparse.simulate.camera.sensor import Sensor, SensorConfig, make_sensor, read_out, vignetting

__all__ = ["CameraConfig", "CameraSource"]

_STREAM = int.from_bytes(b"camera", "big")
"""Takes the place of the epoch in `event_rng`, so that no augmentation draws the same numbers."""


class CameraConfig(SourceConfig):
    """Frames of a camera: stream `frames`, and `truth` with the noiseless light of every recoil.

    The first `pedestal_frames` events are pedestal frames: their truth is empty.
    """

    kind: Literal["camera"] = "camera"
    pedestal_frames: int = Field(0, ge=0, description="events without recoils at the beginning: a pedestal run")
    run: int = Field(1, ge=0, description="run number in the names of the frames, pic_run<run>_ev<event>")
    recoils: RecoilConfig = Field(default_factory=RecoilConfig, description="energies and ranges")
    light: LightConfig = Field(default_factory=LightConfig, description="drift, diffusion and gain")
    sensor: SensorConfig = Field(default_factory=SensorConfig, description="the camera")
    truth_counts: float = Field(
        0.02, gt=0, description="pixels with less expected light are left out of the truth, counts"
    )
    margin_pixels: int = Field(40, ge=0, description="recoils begin at least so far from the edge of the sensor")

    @model_validator(mode="after")
    def _possible(self) -> CameraConfig:
        low, high = self.recoils.per_image
        if not 0 <= low <= high:
            raise ValueError(f"recoils.per_image is [least, most], not {[low, high]}")
        if high and not (*self.recoils.electron_kev, *self.recoils.nuclear_kev):
            raise ValueError("recoils has neither electron_kev nor nuclear_kev; give one, or per_image: [0, 0]")
        if 2 * self.margin_pixels >= min(self.sensor.size):
            raise ValueError(f"margin_pixels {self.margin_pixels} leaves no room on {list(self.sensor.size)} pixels")
        return self

    def build(self) -> CameraSource:
        """The source."""
        return CameraSource(self)


class CameraSource:
    """Frames and their truth, functions of configuration, seed and index.

    Args:
        config: all parameters.
    """

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        parameters: dict[str, str | int | float] = {
            "camera": json.dumps(config.model_dump(mode="json")),
            "run": config.run,
        }
        about = Stream(config.sensor.size, SIGNAL_CLASSES, origin="camera simulation", attributes=parameters)
        frames = Stream(
            config.sensor.size, (), origin="camera simulation", attributes=parameters, open_writer=FrameWriter
        )
        self._streams = MappingProxyType({"truth": about, "frames": frames})

    @property
    def streams(self) -> Mapping[str, Stream]:
        """Streams `truth` and `frames`."""
        return self._streams

    @cached_property
    def sensor(self) -> Sensor:
        """The pixels, made when first needed."""
        return make_sensor(self._config.sensor)

    def make(self, seed: int, index: int) -> Mapping[str, Event | FrameCounts]:
        """Frame `index` and its truth."""
        config = self._config
        rng = event_rng(seed, _STREAM, index, 0)
        recoils = () if index < config.pedestal_frames else self._recoils(rng)
        light, owner = self._image(recoils)
        counts = read_out(self.sensor, config.sensor, light, event_rng(seed, _STREAM, index, 1))
        name = f"pic_run{config.run}_ev{index}"
        frame = FrameCounts(EventKey("simulation", index), name, counts)
        return MappingProxyType({"truth": self._truth(index, recoils, light, owner), "frames": frame})

    def _recoils(self, rng: np.random.Generator) -> tuple[_Recoil, ...]:
        config = self._config
        kinds = [(energy, False) for energy in config.recoils.electron_kev]
        kinds += [(energy, True) for energy in config.recoils.nuclear_kev]
        number = int(rng.integers(config.recoils.per_image[0], config.recoils.per_image[1] + 1))
        found = []
        for _ in range(number):
            middle, nuclear = kinds[int(rng.integers(len(kinds)))]
            energy = middle * rng.uniform(1 - config.recoils.spread, 1 + config.recoils.spread)
            size = np.array(config.sensor.size)
            place = config.margin_pixels + rng.random(2) * (size - 2 * config.margin_pixels)
            track = nuclear_track if nuclear else electron_track
            points, deposits = track(float(energy), config.recoils, rng)
            at_pixel = (float(place[0]), float(place[1]))
            spot = render(points, deposits, at_pixel, config.light, rng)
            found.append(_Recoil(float(energy), nuclear, at_pixel, None if spot is None else self._seen(spot)))
        return tuple(found)

    def _seen(self, spot: Spot) -> Spot | None:
        """The part of the light that falls on the sensor, with vignetting; None when nothing does."""
        height, width = self._config.sensor.size
        rows = slice(max(-spot.row, 0), max(min(height - spot.row, spot.counts.shape[0]), 0))
        columns = slice(max(-spot.column, 0), max(min(width - spot.column, spot.counts.shape[1]), 0))
        part = spot.counts[rows, columns]
        if not part.size:
            return None
        row, column = spot.row + rows.start, spot.column + columns.start
        y, x = np.ogrid[row : row + part.shape[0], column : column + part.shape[1]]
        return Spot(row, column, part * vignetting(self._config.sensor, y, x))

    def _image(
        self, recoils: tuple[_Recoil, ...]
    ) -> tuple[Float32[np.ndarray, "H W"] | None, Int32[np.ndarray, "H W"] | None]:
        """Light of all recoils, and for every pixel the recoil with the most light there."""
        if not recoils:
            return None, None
        light = np.zeros(self._config.sensor.size, dtype=np.float32)
        most = np.zeros(self._config.sensor.size, dtype=np.float32)
        owner = np.full(self._config.sensor.size, -1, dtype=np.int32)
        for number, recoil in enumerate(recoils):
            if recoil.spot is not None:
                spot = recoil.spot
                window = np.s_[
                    spot.row : spot.row + spot.counts.shape[0], spot.column : spot.column + spot.counts.shape[1]
                ]
                light[window] += spot.counts
                leads = spot.counts > most[window]
                owner[window][leads] = number
                most[window][leads] = spot.counts[leads]
        return light, owner

    def _truth(
        self,
        index: int,
        recoils: tuple[_Recoil, ...],
        light: Float32[np.ndarray, "H W"] | None,
        owner: Int32[np.ndarray, "H W"] | None,
    ) -> Event:
        size = self._config.sensor.size
        if light is None or owner is None:
            lit: tuple[np.ndarray, ...] = (np.zeros(0, dtype=np.int64),) * 2
            energy, instance = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        else:
            lit = np.nonzero(light >= self._config.truth_counts)
            energy, instance = light[lit], owner[lit].astype(np.int64)
        columns: dict[str, np.ndarray] = {
            "instance": np.arange(len(recoils), dtype=np.int64),
            "energy_kev": np.array([recoil.energy_kev for recoil in recoils], dtype=np.float32),
            "nuclear": np.array([recoil.nuclear for recoil in recoils], dtype=np.int64),
            "light": np.array([0 if r.spot is None else r.spot.counts.sum() for r in recoils], dtype=np.float32),
            "row": np.array([recoil.at_pixel[0] for recoil in recoils], dtype=np.float32),
            "column": np.array([recoil.at_pixel[1] for recoil in recoils], dtype=np.float32),
        }
        return Event(
            key=EventKey("simulation", index),
            coords=np.stack(lit, axis=1).astype(np.int32),
            energy=energy,
            image_size=size,
            classes=SIGNAL_CLASSES,
            labels={"semantic": np.ones(len(energy), dtype=np.int64), "instance": instance},
            particles=columns,
        )


class _Recoil(NamedTuple):
    energy_kev: float
    nuclear: bool
    at_pixel: tuple[float, float]
    spot: Spot | None
