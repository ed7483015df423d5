"""The C++ of the CPU engine under the address, undefined-behaviour and thread sanitizers, against brute force."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "lartpc_sparse" / "sparse" / "native" / "src"
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
FLAGS = ["-std=c++17", "-O1", "-g1", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi", "-Wno-ignored-attributes"]
X86_64 = platform.machine() in ("x86_64", "AMD64")
FLAGS_OF = {"kernels_avx2.cpp": ["-mavx2", "-mfma"] if X86_64 else []}
PLAIN = [
    "edges.cpp",
    "graph.cpp",
    "grid.cpp",
    "index.cpp",
    "maps.cpp",
    "neighbours.cpp",
    "norm.cpp",
    "pool.cpp",
    "api.cpp",
    "kernels_portable.cpp",
]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")]


def run(*command: str | Path, **environment: str) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-8000:]}"
    return done.stdout


def require(sanitizers: Sequence[str], folder: Path) -> None:
    """Skips where the compiler has no library for the sanitizers, or they cannot run."""
    program = folder / "empty.cpp"
    program.write_text("int main() {}\n")
    assert COMPILER is not None
    built = subprocess.run(
        [COMPILER, *sanitizers, str(program), "-o", str(folder / "empty")], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        pytest.skip(f"{COMPILER} cannot build with {' '.join(sanitizers)}: {built.stderr.strip()[-200:]}")
    started = subprocess.run([folder / "empty"], capture_output=True, text=True, check=False)
    if started.returncode != 0:
        pytest.skip(f"a program built with {' '.join(sanitizers)} does not run here: {started.stderr.strip()[-200:]}")


def build(folder: Path, sanitizers: Sequence[str], names: Sequence[str], macros: Sequence[str] = ()) -> Path:
    """The test program, linked with the given sources of the library."""
    assert COMPILER is not None
    objects = []
    for source in [*(SOURCES / name for name in names), HERE / "test_kernels.cpp", HERE / "left_out_kernels.cpp"]:
        objects.append(folder / f"{source.stem}.o")
        flags = [*FLAGS, *sanitizers, *macros, *FLAGS_OF.get(source.name, []), f"-I{SOURCES}"]
        run(COMPILER, *flags, "-c", source, "-o", objects[-1])
    program = folder / "test_kernels"
    run(COMPILER, *sanitizers, "-pthread", *objects, "-o", program)
    return program


def test_addresses_and_defined_behaviour(tmp_path: Path) -> None:
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    require(sanitizers, tmp_path)
    program = build(tmp_path, sanitizers, [*PLAIN, "kernels_avx2.cpp"])
    output = run(program, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1")
    assert "portable: ok" in output


def test_threads(tmp_path: Path) -> None:
    sanitizers = ["-fsanitize=thread"]
    require(sanitizers, tmp_path)
    program = build(tmp_path, sanitizers, PLAIN, ["-DWITHOUT_AVX2"])
    assert "portable: ok" in run(program, "threads", TSAN_OPTIONS="halt_on_error=1")
