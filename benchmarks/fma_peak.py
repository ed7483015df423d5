"""The machine's measured peak of fp32 multiply-adds: what every time is compared with."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["NoCompiler", "measure_fma_peak"]

SOURCE = Path(__file__).with_name("fma_peak.c")


class NoCompiler(Exception):  # noqa: N818  (a finding, not a fault)
    """The peak cannot be measured; the message says why."""


def _compile(folder: Path) -> ctypes.CDLL:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompiler("no C compiler (Debian: apt install gcc), so the peak of this machine cannot be measured")
    library = folder / "fma_peak.so"
    command = [compiler, "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", str(SOURCE)]
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCompiler(f"{SOURCE.name} does not compile: {done.stderr.strip()}")
    return ctypes.CDLL(str(library))


def measure_fma_peak(threads: int, *, seconds: float = 0.3, repeats: int = 5) -> float:
    """GFLOP/s of `threads` threads together: the best of several measurements, as limits are.

    Raises:
        NoCompiler: there is no C compiler, or it fails.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        measure = _compile(Path(folder)).fma_gflops  # ctypes lets go of the interpreter's lock
        measure.restype, measure.argtypes = ctypes.c_double, [ctypes.c_double]
        together = [sum(pool.map(measure, [seconds] * threads), 0.0) for _ in range(repeats)]
    return float(max(together))
