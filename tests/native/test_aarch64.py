"""The portable kernels as aarch64 code (NEON vectors), against brute force, in the emulator qemu."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "lartpc_sparse" / "sparse" / "native" / "src"
COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
NAMES = (
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
)
FLAGS = ["-std=c++17", "-O1", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi", "-Wno-ignored-attributes"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() in ("aarch64", "arm64"), reason="the other tests run on aarch64 here"),
    pytest.mark.skipif(
        COMPILER is None or EMULATOR is None,
        reason="needs a cross compiler and an emulator (Debian: apt install g++-aarch64-linux-gnu qemu-user)",
    ),
]


def test_portable_kernels_on_aarch64(tmp_path: Path) -> None:
    program = tmp_path / "test_kernels"
    sources = [*(SOURCES / name for name in NAMES), HERE / "test_kernels.cpp"]
    commands = (
        [COMPILER, *FLAGS, f"-I{SOURCES}", "-static", "-pthread", *sources, "-o", program],
        [EMULATOR, program],
    )
    for command in commands:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-8000:]}"
    assert "portable: ok" in done.stdout
    assert "avx2: not to be had here" in done.stdout
