"""The compiled library of the CPU engine: found, loaded once, its functions typed."""

from __future__ import annotations

import ctypes
import functools
import os
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path

__all__ = ["OutputRecord", "TermRecord", "check_status", "library", "missing_reason", "select_instruction_set"]

_ABI_VERSION = 8
_FOLDER = Path(__file__).parent
_ISA_VARIABLE = "LARTPC_SPARSE_ISA"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


class TermRecord(Structure):
    """`LartpcTerm` of src/api.h."""

    _fields_ = (
        ("x", c_void_p),
        ("x_stride", c_int64),
        ("cin", c_int64),
        ("w", c_void_p),
        ("w_slot", c_int64),
        ("w_row", c_int64),
        ("map", c_void_p),
        ("reversed", c_int32),
    )


class OutputRecord(Structure):
    """`LartpcOutput` of src/api.h."""

    _fields_ = (
        ("y", c_void_p),
        ("y_stride", c_int64),
        ("scale", c_void_p),
        ("shift", c_void_p),
        ("activation", c_int32),
        ("slope", c_float),
    )


_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "last_error": (c_char_p, ()),
    "abi_version": (c_int32, ()),
    "isa": (c_char_p, ()),
    "select_isa": (c_int32, (c_char_p,)),
    "index_create": (c_void_p, (c_void_p, c_void_p, c_int64, c_int32, c_int64)),
    "index_free": (None, (c_void_p,)),
    "index_duplicates": (c_int64, (c_void_p, POINTER(c_int64))),
    "index_coarsen": (c_void_p, (c_void_p, POINTER(c_int32))),
    "index_size": (c_int64, (c_void_p,)),
    "index_export": (None, (c_void_p, c_void_p, c_void_p)),
    "map_submanifold": (c_void_p, (c_void_p, POINTER(c_int32), c_int32)),
    "map_strided": (c_void_p, (c_void_p, c_void_p, POINTER(c_int32), POINTER(c_int32), c_int32)),
    "map_from_pairs": (c_void_p, (c_void_p, c_void_p, c_void_p, c_int32, c_int64, c_int64)),
    "map_transpose": (c_void_p, (c_void_p,)),
    "map_free": (None, (c_void_p,)),
    "map_count": (c_int64, (c_void_p, c_void_p)),
    "map_export": (None, (c_void_p, c_void_p, c_void_p)),
    "convolve": (
        c_int32,
        (
            c_int32,
            POINTER(TermRecord),
            c_int32,
            c_int64,
            c_int64,
            c_void_p,
            c_void_p,
            c_int64,
            POINTER(OutputRecord),
            c_int32,
            c_int32,
        ),
    ),
    "weight_gradient": (
        c_int32,
        (c_int32, c_void_p, c_int64, c_int64, c_void_p, c_int64, c_int64, c_void_p, c_int64, c_void_p, c_int32),
    ),
    "transpose_weight": (c_int32, (c_int32, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int32)),
    "packed_size": (c_int64, (c_int64, c_int64, c_int64)),
    "pack_weight": (c_int32, (c_void_p, c_int64, c_int64, c_int64, c_void_p, c_int32)),
    "norm_moments": (
        c_int32,
        (c_int32, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p, c_int32),
    ),
    "norm_apply": (
        c_int32,
        (c_int32, c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p, c_double, c_void_p, c_int32),
    ),
    "norm_gradient": (
        c_int32,
        (
            c_int32,
            *(c_void_p, c_int64) * 3,
            c_int64,
            c_int64,
            *(c_void_p,) * 4,
            c_double,
            *(c_void_p,) * 3,
            c_int32,
        ),
    ),
    "near_other_class": (
        c_int32,
        (c_void_p, c_void_p, c_int64, c_int32, c_double, c_int32, c_void_p),
    ),
    "near_pairs": (c_int64, (c_void_p, c_void_p, c_int64, c_int32, c_int32, c_uint64, c_int64, c_void_p)),
    "voxel_coords": (c_int64, (c_void_p, c_int64, c_void_p, c_int32, c_int32, c_void_p)),
    "score_edges": (
        c_int32,
        (
            c_void_p,
            c_void_p,
            c_void_p,
            c_int64,
            c_void_p,
            c_int64,
            *(c_void_p,) * 4,
            c_float,
            *(c_int32,) * 3,
            c_void_p,
        ),
    ),
    "agglomerate": (c_int64, (c_void_p, c_void_p, c_int64, c_int64, c_double, c_double, c_void_p)),
    "fma_peak": (c_double, (c_int32, c_double)),
}


class _Library:
    """The functions of src/api.h, without their prefix, as attributes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(loaded, f"lartpc_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> ctypes._NamedFuncPointer:
        raise AttributeError(f"{self.path} has no function {name}")

    @property
    def error(self) -> str:
        """What the last call of this thread that failed complained about."""
        return self.last_error().decode()  # type: ignore[no-any-return]


def _find() -> Path | None:
    """The library that the package's build put beside this file."""
    return next(iter(sorted(_FOLDER.glob("_cpu*.so"))), None)


@functools.cache
def missing_reason() -> str | None:
    """Why there is no library to load, and what to do about it; None when there is one."""
    path = _find()
    if path is None:
        return (
            "the C++ kernels were not built: this needs a C++17 compiler (Debian: apt install g++), then "
            "`pip install --force-reinstall --no-deps lartpc-sparse` or, in a checkout, `make env`"
        )
    try:
        version = ctypes.CDLL(str(path)).lartpc_abi_version()
    except OSError as error:
        return f"the C++ kernels cannot be loaded: {error}"
    if version != _ABI_VERSION:
        return f"{path} is of version {version}, wanted {_ABI_VERSION}; build the package again (`make env`)"
    return None


@functools.cache
def library() -> _Library:
    """The loaded library.

    Raises:
        RuntimeError: it was not built or cannot be loaded, see `missing_reason`; or the environment asks for an
            instruction set that this processor lacks.
    """
    reason = missing_reason()
    path = _find()
    if reason is not None or path is None:
        raise RuntimeError(reason)
    loaded = _Library(path)
    if wanted := os.environ.get(_ISA_VARIABLE):
        _select(loaded, wanted)
    _keep_freed_memory()
    return loaded


def _keep_freed_memory() -> None:
    """Lets glibc keep the memory of freed features for the next ones.

    Every layer allocates its result. Given back to the system in between, a result of 5 MB costs 1,200 page faults,
    as long as the convolution itself. With MALLOC_TRIM_THRESHOLD_ or MALLOC_MMAP_THRESHOLD_ in the environment
    nothing is changed.
    """
    if any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_MMAP_THRESHOLD, 1 << 25)  # the largest that glibc takes


def select_instruction_set(name: str) -> None:
    """Makes all further calls use an instruction set: avx512_bf16, avx512, avx2 or portable.

    Raises:
        RuntimeError: unknown, or the processor lacks it.
    """
    _select(library(), name)


def check_status(status: int) -> None:
    """Turn what a function of the library returned into an error.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    if status != 0:
        raise RuntimeError(f"CPU engine: {library().error}")


def _select(loaded: _Library, name: str) -> None:
    if loaded.select_isa(name.encode()) != 0:
        raise RuntimeError(
            f"instruction set {name!r} (see {_ISA_VARIABLE}) is unknown or not to be had on this processor; "
            f"known: avx512_bf16, avx512, avx2, portable"
        )
