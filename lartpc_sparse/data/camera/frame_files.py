"""Files of frames, whatever their format: HDF5, ROOT (TH2), TIFF and npy; one frame is read at a time."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np
from jaxtyping import Shaped

from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.camera.frame_writer import FRAMES_FORMAT, ORDER
from lartpc_sparse.data.readers.files import open_hdf5
from lartpc_sparse.data.readers.root_claims import check_root_object, check_root_streamers
from lartpc_sparse.data.readers.vlen_table import check_entries
from lartpc_sparse.jobs import input_error
from lartpc_sparse.schema import UserError

__all__ = ["FrameFile", "open_frames", "run_and_event"]

_NAME = re.compile(r"pic_run(\d+)_ev(\d+)")


@runtime_checkable
class FrameFile(Protocol):
    """An open file of E frames of one size."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every frame."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, entry: int) -> Shaped[np.ndarray, "H W"]:
        """The counts of a frame; raises what the library of the format raises where it is damaged."""
        ...

    def close(self) -> None:
        """Give the file back."""
        ...


def open_frames(path: str) -> FrameFile:
    """Opens a file by its ending: .h5, .hdf5, .root, .tif, .tiff, .npy.

    Raises:
        UserError: another ending, a missing or damaged file, or one without frames.
    """
    ending = Path(path).suffix.lower()
    if ending not in _FORMATS:
        raise UserError(f"{path}: frames are read from {', '.join(sorted(_FORMATS))}; convert the file to one of these")
    try:
        return _FORMATS[ending](path)
    except UserError:
        raise
    except Exception as error:  # each library raises its own
        raise input_error(path, error) or UserError(
            f"{path} cannot be opened as {ending} ({error}); it is damaged or another format"
        ) from error


def run_and_event(name: str) -> tuple[int, int]:
    """Run and event number of a name `pic_run<run>_ev<event>`, (-1, -1) for any other name."""
    found = _NAME.search(name)
    return (int(found[1]), int(found[2])) if found else (-1, -1)


def _ordered(names: list[str], path: str) -> tuple[str, ...]:
    """The frames of a file by run and event; all names when none is of that form."""
    frames = sorted((name for name in names if _NAME.search(name)), key=run_and_event)
    if not (frames or names):
        raise UserError(f"{path} holds no frames (objects called pic_run<run>_ev<event>)")
    return tuple(frames or sorted(names))


class _Hdf5Frames:
    """One 2D data set a frame, or one 3D data set with a frame in every row."""

    def __init__(self, path: str) -> None:
        self._file: h5py.File = open_hdf5(path)
        flat = [name for name, item in self._file.items() if isinstance(item, h5py.Dataset) and item.ndim == 2]
        stacks = [name for name, item in self._file.items() if isinstance(item, h5py.Dataset) and item.ndim == 3]
        self._stack: h5py.Dataset | None = None
        if as_text(self._file.attrs.get("format", "")) == FRAMES_FORMAT:
            text = h5py.check_string_dtype(self._file[ORDER].dtype)
            if text is not None and text.length is None:
                check_entries(self._file[ORDER])
            self.names: tuple[str, ...] = tuple(name.decode() for name in self._file[ORDER][:])
        elif not flat and len(stacks) == 1:
            self._stack = self._file[stacks[0]]
            self.names = tuple(f"{stacks[0]}[{entry}]" for entry in range(len(self._stack)))
        else:
            self.names = _ordered(flat, path)
        first = self._file[self.names[0]].shape if self._stack is None else self._stack.shape[1:]
        self.shape: tuple[int, int] = (int(first[0]), int(first[1]))

    def read(self, entry: int) -> Shaped[np.ndarray, "H W"]:
        data = self._file[self.names[entry]] if self._stack is None else self._stack
        return np.asarray(data[()] if self._stack is None else data[entry])

    def close(self) -> None:
        self._file.close()


class _RootFrames:
    """TH2 histograms, read with uproot; axis 0 here is the y axis of the histogram, from the bottom."""

    def __init__(self, path: str) -> None:
        import uproot

        self._path = path
        self._file: Any = uproot.open(path, object_cache=None, array_cache=None)
        check_root_streamers(self._file, path)
        classes = self._file.classnames(cycle=False)
        self.names = _ordered([name for name, kind in classes.items() if kind.startswith("TH2")], path)
        axes = self._histogram(0).axes
        self.shape = (len(axes[1]), len(axes[0]))

    def read(self, entry: int) -> Shaped[np.ndarray, "H W"]:
        counts = np.ascontiguousarray(self._histogram(entry).values(flow=False).T)
        gc.collect(1)  # uproot's histograms hold themselves: 80 MiB a frame would wait for a full collection
        return counts

    def _histogram(self, entry: int) -> Any:
        check_root_object(self._file, self.names[entry], self._path)
        return self._file[self.names[entry]]

    def close(self) -> None:
        self._file.close()


class _TiffFrames:
    """The pages of a TIFF file, read with tifffile."""

    def __init__(self, path: str) -> None:
        try:
            import tifffile
        except ImportError as error:
            raise UserError(f"{path}: TIFF needs the package tifffile; pip install tifffile") from error
        self._file = tifffile.TiffFile(path)
        size = self._file.pages.first.shape
        if len(size) != 2:
            raise UserError(f"{path}: a page has the shape {size}; frames have one channel")
        self.names = tuple(f"{Path(path).stem}[{entry}]" for entry in range(len(self._file.pages)))
        self.shape = (int(size[0]), int(size[1]))

    def read(self, entry: int) -> Shaped[np.ndarray, "H W"]:
        return np.asarray(self._file.pages[entry].asarray())

    def close(self) -> None:
        self._file.close()


class _NpyFrames:
    """One array (H, W) or (E, H, W), mapped into memory."""

    def __init__(self, path: str) -> None:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim not in (2, 3):
            raise UserError(f"{path}: an array of {array.ndim} axes; frames are (H, W) or (E, H, W)")
        self._frames = array[None] if array.ndim == 2 else array
        self.names = tuple(f"{Path(path).stem}[{entry}]" for entry in range(len(self._frames)))
        self.shape = (int(self._frames.shape[1]), int(self._frames.shape[2]))

    def read(self, entry: int) -> Shaped[np.ndarray, "H W"]:
        return np.array(self._frames[entry])

    def close(self) -> None:
        del self._frames


_FORMATS: dict[str, type[_Hdf5Frames] | type[_RootFrames] | type[_TiffFrames] | type[_NpyFrames]] = {
    ".h5": _Hdf5Frames,
    ".hdf5": _Hdf5Frames,
    ".root": _RootFrames,
    ".tif": _TiffFrames,
    ".tiff": _TiffFrames,
    ".npy": _NpyFrames,
}
