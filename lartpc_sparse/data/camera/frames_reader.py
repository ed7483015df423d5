"""The reader `frames`: camera frames of any format, preprocessed, as events of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field

from lartpc_sparse.data.camera.frame_files import FrameFile, open_frames
from lartpc_sparse.data.camera.frame_image import SIGNAL_CLASSES, FrameImage
from lartpc_sparse.data.camera.frame_transforms import (
    BadPixelsConfig,
    FrameTransformField,
    RebinConfig,
    SubtractPedestalConfig,
    preprocess,
)
from lartpc_sparse.data.camera.pedestal import Pedestal, build_pedestal, load_pedestal, read_frames
from lartpc_sparse.data.camera.true_pixels import true_pixels
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.files import EventIndex, FileReaderConfig, IndexedEvents, OpenFiles, resolve_files
from lartpc_sparse.data.readers.voxels import VoxelsConfig, VoxelsReader
from lartpc_sparse.schema import BadEventError, Config, UserError

__all__ = ["FramesConfig", "FramesReader", "PedestalRunConfig"]


class PedestalRunConfig(Config):
    """Frames without light, of which mean and noise are taken whenever the reader is built."""

    files: tuple[str, ...] = Field(min_length=1, description="files of frames, as `files` of the reader")
    select: tuple[int, int] | None = Field(None, description="use the frames start..stop-1 of all files together")


class FramesConfig(FileReaderConfig):
    """Frames of a camera: ROOT TH2, HDF5, TIFF or npy.

    An event has one voxel for every pixel that the preprocessing leaves, all of them unless a step suppresses zeros.
    Its energy is the value of the pixel (counts above the pedestal, mean over a rebinned pixel); labels are `noise`
    (float32, of that value) and, with `truth`, `semantic`, `instance` (the recoil) and `light` (true counts).
    """

    kind: Literal["frames"] = "frames"
    pedestal: str | PedestalRunConfig = Field(
        description="file of python -m lartpc_sparse.data.camera.pedestal; or the frames of a pedestal run"
    )
    preprocess: tuple[FrameTransformField, ...] = Field(
        (BadPixelsConfig(), SubtractPedestalConfig(), RebinConfig()), description="steps, in this order"
    )
    truth: tuple[str, ...] = Field(
        (), description="files of the true light, one event a frame in the same order (simulate: {kind: camera})"
    )
    signal_counts: float = Field(
        0.2, gt=0, description="a pixel is signal from so much true light on, counts a pixel of the sensor"
    )

    keep_in_memory: bool = Field(
        False, description="keep the pixels of every frame that was read: for a training on few frames; they add up"
    )

    @property
    def factor(self) -> int:
        """Sensor pixels along each axis of a pixel of the images."""
        return math.prod(getattr(step, "factor", 1) for step in self.preprocess)

    def build(self) -> FramesReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`; or a truth of another number of events.
        """
        return FramesReader(self)


class FramesReader(IndexedEvents):
    """Frames as events; see `FramesConfig`.

    Args:
        config: files, pedestal and preprocessing.
    """

    classes = SIGNAL_CLASSES

    def __init__(self, config: FramesConfig) -> None:
        self._config = config
        self._open: OpenFiles[FrameFile] = OpenFiles(open_frames, max_open=4)
        counted = EventIndex.build(resolve_files(config.files), self._count, config.select, config.limit)
        self._index = counted
        self._shape = self._open.get(counted.files[0]).shape
        factor = config.factor
        if any(size % factor for size in self._shape):
            raise UserError(
                f"{counted.files[0]}: {self._shape} pixels cannot be rebinned by {factor}; choose a divisor"
            )
        self.factor = factor
        self.image_size: tuple[int, ...] = tuple(size // factor for size in self._shape)
        self.truth = self._truth_reader()
        self._counts: Int64[np.ndarray, " E"] | None = None
        self._kept: dict[int, Event] = {}

    def _count(self, path: str) -> int:
        return len(self._open.get(path).names)

    def _truth_reader(self) -> VoxelsReader | None:
        config = self._config
        if not config.truth:
            return None
        truth = VoxelsConfig(files=config.truth, select=config.select, limit=config.limit).build()
        if len(truth) != len(self._index) or tuple(truth.image_size) != self._shape:
            raise UserError(
                f"truth has {len(truth)} events of {tuple(truth.image_size)} pixels, files has {len(self._index)} "
                f"frames of {self._shape}; name the truth of the same frames in the same order"
            )
        return truth

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("pedestal", "_grid")}

    @property
    def files(self) -> tuple[str, ...]:
        """Frames, truth and pedestal."""
        truth = () if self.truth is None else self.truth.files
        return (*self._index.files, *truth, *self._pedestal_files())

    def _pedestal_files(self) -> tuple[str, ...]:
        source = self._config.pedestal
        return resolve_files((source,) if isinstance(source, str) else source.files)

    @cached_property
    def pedestal(self) -> Pedestal:
        """Mean and noise of every pixel of the sensor; read or made when first needed."""
        source = self._config.pedestal
        files = self._pedestal_files()
        found = load_pedestal(files[0]) if isinstance(source, str) else self._made(files, source.select)
        if found.mean.shape != self._shape:
            raise UserError(
                f"{self.files[0]} has frames of {self._shape} pixels, its pedestal {files[0]} has {found.mean.shape}; "
                "give the pedestal of this camera"
            )
        return found

    @staticmethod
    def _made(files: Sequence[str], select: tuple[int, int] | None) -> Pedestal:
        return build_pedestal(read_frames(files, select), sources=files)

    @cached_property
    def _grid(self) -> Int32[np.ndarray, "N 2"]:
        height, width = self.image_size
        coords = np.empty((height, width, 2), dtype=np.int32)
        coords[..., 0], coords[..., 1] = np.ogrid[:height, :width]
        flat = coords.reshape(-1, 2)
        flat.flags.writeable = False
        return flat

    def frame(self, index: int) -> FrameImage:
        """The frame as the camera gives it, at full resolution.

        Raises:
            BadEventError: it cannot be read, has another size, or values that are not finite.
            IndexError: index outside 0..E-1.
        """
        key = self.key(index)
        file = self._open.get(key.file)
        try:
            counts = file.read(key.entry)
        except Exception as error:  # each library raises its own
            raise BadEventError(f"{key}: frame {file.names[key.entry]} cannot be read ({error})") from error
        if counts.shape != self._shape:
            raise BadEventError(f"{key}: {counts.shape} pixels, the first frame has {self._shape}")
        values = counts.astype(np.float32)
        if counts.dtype.kind == "f" and not np.isfinite(values).all():
            bad = np.argwhere(~np.isfinite(values))[0].tolist()
            raise BadEventError(f"{key}: frame {file.names[key.entry]} is not finite, first at pixel {bad}")
        pedestal = self.pedestal
        return FrameImage(key, values, pedestal.mean, pedestal.sigma, pedestal.bad)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Pixels of every event; frames that are suppressed must be read for it."""
        if self._counts is None:
            if any(step.kind in _SUPPRESSING for step in self._config.preprocess):
                sizes = [len(self.read(index)) for index in range(len(self))]
            else:
                sizes = [int(np.prod(self.image_size))] * len(self)
            self._counts = np.array(sizes, dtype=np.int64)
        return self._counts

    def key(self, index: int) -> EventKey:
        """File and entry of a frame."""
        return self._index.key(index)

    def preprocessed(self, frame: FrameImage) -> FrameImage:
        """The frame after all steps.

        Raises:
            BadEventError: the frame does not fit a step.
        """
        return preprocess(frame, self._config.preprocess)

    def read(self, index: int) -> Event:
        """The pixels of a frame.

        Raises:
            BadEventError: see `frame`; a step does not fit it; a bad event of the truth.
            IndexError: index outside 0..E-1.
        """
        if index not in self._kept:
            event = self._read(index)
            if not self._config.keep_in_memory:
                return event
            self._kept[index] = event
        return self._kept[index]

    def _read(self, index: int) -> Event:
        image = self.preprocessed(self.frame(index))
        labels, particles = self._labels(index, image)
        rows = np.flatnonzero(image.values) if image.suppressed else None
        flat = {name: column.reshape(-1) for name, column in labels.items()}
        return Event(
            key=image.key,
            coords=self._grid if rows is None else self._grid[rows],
            energy=image.values.reshape(-1) if rows is None else image.values.reshape(-1)[rows],
            image_size=self.image_size,
            classes=self.classes,
            labels=flat if rows is None else {name: column[rows] for name, column in flat.items()},
            particles=particles,
        )

    def _labels(self, index: int, image: FrameImage) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        noise = image.sigma.astype(np.float32)
        if self.truth is None:
            return {"noise": noise}, {}
        event = self.truth.read(index)
        light, instance = true_pixels(event, self.image_size, self.factor)
        signal = light >= self._config.signal_counts
        semantic = signal.astype(np.int64)
        return (
            {"noise": noise, "light": light, "semantic": semantic, "instance": np.where(signal, instance, -1)},
            dict(event.particles),
        )


_SUPPRESSING = ("zero_suppression", "noise_reduction", "threshold")
