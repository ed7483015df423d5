"""Small frames with a known truth, as files of every format."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from lartpc_sparse.data.camera.frame_image import SIGNAL_CLASSES, FrameCounts
from lartpc_sparse.data.camera.frame_writer import FrameWriter
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.voxel_file import VoxelFileWriter

SIZE = (16, 24)


def frames(number: int, seed: int = 0) -> np.ndarray:
    """Frames (E, H, W) uint16 around 100 counts; frame e has a bright square whose place depends on e."""
    rng = np.random.default_rng(seed)
    counts = rng.normal(100, 2, size=(number, *SIZE)).round()
    for entry in range(number):
        counts[entry, 4:8, 4 + entry : 8 + entry] += 50
    return counts.astype(np.uint16)


def names(number: int, run: int = 3) -> list[str]:
    """As the experiment calls its frames; event 10 comes after event 9."""
    return [f"pic_run{run}_ev{8 + entry}" for entry in range(number)]


def write_hdf5(path: Path, counts: np.ndarray) -> None:
    with FrameWriter(path, image_size=SIZE) as writer:
        for entry, (name, frame) in enumerate(zip(names(len(counts)), counts, strict=True)):
            writer.write(FrameCounts(EventKey("made", entry), name, frame))


def write_foreign_hdf5(path: Path, counts: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, frame in zip(names(len(counts)), counts, strict=True):
            file[name] = frame


def write_stack(path: Path, counts: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["frames"] = counts


def write_root(path: Path, counts: np.ndarray) -> None:
    import uproot

    with uproot.recreate(path) as file:
        for name, frame in zip(names(len(counts)), counts, strict=True):
            file[name] = (frame.T.astype(np.float64), np.arange(SIZE[1] + 1.0), np.arange(SIZE[0] + 1.0))
        file["not_a_frame"] = np.histogram(np.arange(4.0), bins=4)


def write_tiff(path: Path, counts: np.ndarray) -> None:
    import tifffile

    tifffile.imwrite(path, counts, photometric="minisblack")


def write_npy(path: Path, counts: np.ndarray) -> None:
    np.save(path, counts)


WRITERS = {
    "frames.h5": write_hdf5,
    "foreign.h5": write_foreign_hdf5,
    "stack.hdf5": write_stack,
    "frames.root": write_root,
    "frames.tif": write_tiff,
    "frames.npy": write_npy,
}


def write_truth(path: Path, number: int) -> None:
    """The square of every frame as recoil 0, and one faint pixel as recoil 1."""
    with VoxelFileWriter(path, image_size=SIZE, classes=SIGNAL_CLASSES) as writer:
        for entry in range(number):
            square = np.array([(r, c) for r in range(4, 8) for c in range(4 + entry, 8 + entry)], dtype=np.int32)
            coords = np.concatenate([square, np.array([[12, 20]], dtype=np.int32)])
            light = np.full(len(coords), 50.0, dtype=np.float32)
            light[-1] = 0.5
            writer.write(
                Event(
                    key=EventKey("made", entry),
                    coords=coords,
                    energy=light,
                    image_size=SIZE,
                    classes=SIGNAL_CLASSES,
                    labels={
                        "semantic": np.ones(len(coords), dtype=np.int64),
                        "instance": np.array([0] * 16 + [1], dtype=np.int64),
                    },
                    particles={
                        "instance": np.array([0, 1], dtype=np.int64),
                        "energy_kev": np.array([6.0, 0.25], dtype=np.float32),
                        "nuclear": np.array([0, 1], dtype=np.int64),
                        "light": np.array([800.0, 0.5], dtype=np.float32),
                        "row": np.array([6.0, 12.0], dtype=np.float32),
                        "column": np.array([6.0 + entry, 20.0], dtype=np.float32),
                    },
                )
            )
