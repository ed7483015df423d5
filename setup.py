"""Builds the C++ kernels of the CPU engine; everything else about the package is in pyproject.toml.

Each instruction set has one source file, compiled with its own flags; the library picks one when it is loaded.
Without a C++ compiler, or where the build fails, the package installs without the kernels and says so; with
LARTPC_SPARSE_REQUIRE_KERNELS=1 that is an error (wheels, images).
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = Path("lartpc_sparse/sparse/native/src")
COMMON = ["-std=c++17", "-O3", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi", "-g0"]
COMMON += ["-Wno-ignored-attributes"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"]
INSTRUCTION_SETS = {
    "kernels_avx2.cpp": ["-mavx2", "-mfma"],
    "kernels_avx512.cpp": AVX512,
    "kernels_avx512_bf16.cpp": [*AVX512, "-mavx512bf16"],
}
REQUIRED = os.environ.get("LARTPC_SPARSE_REQUIRE_KERNELS") == "1"
X86_64 = platform.machine() in ("x86_64", "AMD64")


class BuildKernels(build_ext):
    """Compiles every source with the flags of its instruction set; a failure leaves the kernels out."""

    def build_extension(self, ext: Extension) -> None:
        """Builds the kernels, or says that they are left out."""
        compile_one, compile_all = self.compiler._compile, self.compiler.compile

        def compile_with_flags(obj: str, src: str, *others: Any) -> None:
            ext_, cc_args, extra, pp_opts = others
            flags = INSTRUCTION_SETS.get(Path(src).name, []) if X86_64 else []
            compile_one(obj, src, ext_, cc_args, [*extra, *flags], pp_opts)

        def compile_side_by_side(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                lists = pool.map(lambda source: compile_all([source], **options), sources)
                return list(itertools.chain.from_iterable(lists))

        self.compiler._compile, self.compiler.compile = compile_with_flags, compile_side_by_side
        try:
            super().build_extension(ext)
        except Exception as error:
            if REQUIRED:
                raise
            sys.stderr.write(
                f"lartpc_sparse: the C++ kernels were not built ({error}); the package works on the torch engine, "
                f"several times slower on a CPU. Install a C++17 compiler (Debian: apt install g++) and reinstall.\n"
            )
        finally:
            self.compiler._compile, self.compiler.compile = compile_one, compile_all

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """The library is no Python module: it has no PyInit function to export."""
        return list(ext.export_symbols)


setup(
    ext_modules=[
        Extension(
            "lartpc_sparse.sparse.native._cpu",
            sources=sorted(str(path) for path in FOLDER.glob("*.cpp")),
            depends=sorted(str(path) for path in FOLDER.glob("*.h")),
            extra_compile_args=COMMON,
            extra_link_args=["-pthread", "-s"],
            language="c++",
            optional=not REQUIRED,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
