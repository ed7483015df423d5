"""Pedestals: mean and noise of every pixel without light, made from a pedestal run; file and command.

python -m lartpc_sparse.data.camera.pedestal pedestal_run.h5 --output pedestal.h5
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from jaxtyping import Bool, Float32, Shaped

from lartpc_sparse.command_line import exit_status
from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.data.attributes import as_text, store_attributes
from lartpc_sparse.data.camera.frame_files import open_frames
from lartpc_sparse.data.readers.files import EventIndex, damage_named, open_hdf5, resolve_files
from lartpc_sparse.progress import track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError

__all__ = ["PEDESTAL_FORMAT", "Pedestal", "build_pedestal", "load_pedestal", "main", "read_frames", "save_pedestal"]

PEDESTAL_FORMAT = "lartpc_sparse.pedestal"
VERSION = 1
MIN_FRAMES = 2


@dataclass(frozen=True)
class Pedestal:
    """Maps of a pedestal run.

    Attributes:
        mean: counts.
        sigma: standard deviation over the frames, counts.
        bad: pixels that flicker or do not move at all.
        frames: how many frames they are from.
        sources: names of the files.
        identity: changes when a map changes.
    """

    mean: Float32[np.ndarray, "H W"]
    sigma: Float32[np.ndarray, "H W"]
    bad: Bool[np.ndarray, "H W"]
    frames: int
    sources: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Hash of the maps."""
        return hashlib.sha256(self.mean.tobytes() + self.sigma.tobytes() + self.bad.tobytes()).hexdigest()[:16]


def build_pedestal(
    frames: Iterable[Shaped[np.ndarray, "H W"]],
    *,
    max_sigma_ratio: float = 5.0,
    min_sigma_ratio: float = 0.05,
    sources: Sequence[str] = (),
) -> Pedestal:
    """Mean and standard deviation of every pixel over frames that pass one at a time (Welford's sums).

    Args:
        frames: of one size; at least two.
        max_sigma_ratio: a pixel is bad (hot) when its noise is above this times the median noise.
        min_sigma_ratio: and bad (dead) below this times the median.
        sources: written into the file.

    Raises:
        UserError: fewer than two frames, or frames of different sizes.
    """
    count = 0
    mean = squares = np.zeros((0, 0))
    for frame in frames:
        values = np.asarray(frame, dtype=np.float32)
        if count == 0:
            mean, squares = np.zeros(values.shape, np.float32), np.zeros(values.shape, np.float32)
        if values.shape != mean.shape:
            raise UserError(f"pedestal frame {count} has {values.shape} pixels, the frames before {mean.shape}")
        count += 1
        step = values - mean
        mean += step / np.float32(count)
        step *= values - mean
        squares += step
    if count < MIN_FRAMES:
        raise UserError(f"a pedestal needs at least {MIN_FRAMES} frames, there are {count}; give more files or frames")
    sigma = np.sqrt(squares / np.float32(count - 1)).astype(np.float32)
    typical = float(np.median(sigma))
    bad = (sigma > max_sigma_ratio * typical) | (sigma < min_sigma_ratio * typical) | ~np.isfinite(sigma)
    return Pedestal(mean.astype(np.float32), sigma, bad, count, tuple(sources))


def read_frames(
    files: Sequence[str], select: tuple[int, int] | None = None, limit: int | None = None
) -> Iterable[Shaped[np.ndarray, "H W"]]:
    """The frames of several files, one at a time.

    Raises:
        UserError: a file or a frame that cannot be read.
    """
    for path, begin, end in EventIndex.build(files, _count, select, limit).spans():
        file = open_frames(path)
        for entry in range(begin, end):
            with damage_named(path, file.names[entry]):
                frame = file.read(entry)
            yield frame
        file.close()


def _count(path: str) -> int:
    file = open_frames(path)
    number = len(file.names)
    file.close()
    return number


def save_pedestal(path: str | Path, pedestal: Pedestal) -> None:
    """Write the maps to an HDF5 file that is complete when it appears."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with h5py.File(partial, "w", libver=("v110", "v110")) as file:
        about = {
            **provenance(),
            "format": PEDESTAL_FORMAT,
            "format_version": VERSION,
            "frames": pedestal.frames,
            "identity": pedestal.identity,
            "sources": json.dumps([Path(source).name for source in pedestal.sources]),
        }
        store_attributes(file, about)
        for name in ("mean", "sigma", "bad"):
            file.create_dataset(name, data=getattr(pedestal, name), **hdf5plugin.Blosc(cname="lz4"))
    partial.replace(path)


def load_pedestal(path: str | Path) -> Pedestal:
    """Read what `save_pedestal` wrote.

    Raises:
        UserError: missing, damaged, another format or a newer version.
    """
    with open_hdf5(str(path)) as file, damage_named(str(path), "pedestal maps"):
        if as_text(file.attrs.get("format", "")) != PEDESTAL_FORMAT:
            raise UserError(f"{path} is no pedestal file; make one with python -m lartpc_sparse.data.camera.pedestal")
        if int(file.attrs["format_version"]) > VERSION:
            raise UserError(f"{path} has version {file.attrs['format_version']}, this program reads up to {VERSION}")
        found = Pedestal(
            file["mean"][()].astype(np.float32),
            file["sigma"][()].astype(np.float32),
            file["bad"][()].astype(np.bool_),
            int(file.attrs["frames"]),
            tuple(json.loads(as_text(file.attrs["sources"]))),
        )
        if found.identity != as_text(file.attrs["identity"]):
            raise UserError(f"{path}: the maps are not those that were saved; the file is damaged, make it again")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status, see `lartpc_sparse.jobs.EXIT_CODES`."""
    parser = command_parser("lartpc_sparse.data.camera.pedestal", __doc__)
    parser.add_argument("files", nargs="+", help="frames without light: .h5, .root, .tif, .npy; patterns are allowed")
    parser.add_argument("--output", required=True, help="the pedestal file to write")
    parser.add_argument("--select", nargs=2, type=int, metavar=("START", "STOP"), help="frames START..STOP-1 only")
    parser.add_argument("--max-sigma-ratio", type=float, default=5.0, help="hot above this times the median noise")
    options = parser.parse_args(arguments)
    return exit_status(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    files = resolve_files(options.files)
    select = None if options.select is None else (options.select[0], options.select[1])
    total = len(EventIndex.build(files, _count, select))
    with track("pedestal", total=total, unit="frames") as bar:

        def counted() -> Iterable[np.ndarray]:
            for frame in read_frames(files, select):
                yield frame
                bar.advance(1)

        pedestal = build_pedestal(counted(), max_sigma_ratio=options.max_sigma_ratio, sources=files)
    save_pedestal(options.output, pedestal)
    sys.stdout.write(
        f"{options.output}: {pedestal.frames} frames of {pedestal.mean.shape[0]} x {pedestal.mean.shape[1]} pixels, "
        f"median noise {np.median(pedestal.sigma):.3f} counts, {int(pedestal.bad.sum())} bad pixels\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
