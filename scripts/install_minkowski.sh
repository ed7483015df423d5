#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 (CPU only) from PyPI's source package and installs it beside our package.
#
#   scripts/install_minkowski.sh [PYTHON]      default .venv/bin/python; a second call finds it installed and stops
#
# The build happens in a virtual environment of its own that borrows torch from PYTHON's: the package's setup.py needs
# a setuptools below 81, which must not replace the one that is in use. About 10 minutes on two cores; MAX_JOBS says
# how many compilers may run at once (default: one a core).
set -euo pipefail

VERSION=0.5.4
PYTHON=${1:-.venv/bin/python}

fail() { echo "error: $*" >&2; exit 1; }

reason_unavailable() {
  "$PYTHON" -c 'import sys
from lartpc_sparse.sparse.engines.minkowski_package import reason_unavailable
sys.exit(reason_unavailable("cpu"))'
}

can_build() { # can_build NAME SOURCE FLAG...
  local source=$2
  printf '%s\n' "$source" | "${CXX:-g++}" -x c++ - "${@:3}" -o "$work/probe" 2>"$work/probe.log" && return
  cat "$work/probe.log" >&2
  fail "$1"
}

"$PYTHON" -c 'import lartpc_sparse.sparse' 2>/dev/null || fail "$PYTHON cannot import lartpc_sparse; run: make env"
if reason=$(reason_unavailable 2>&1); then
  echo "MinkowskiEngine is installed already"
  exit 0
fi
echo "$reason"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v "${CXX:-g++}" >/dev/null || fail "no C++ compiler; on Debian or Ubuntu: apt install g++"
can_build "Python's headers are missing; on Debian or Ubuntu: apt install python3-dev" \
  $'#include <Python.h>\nint main() {}' -fsyntax-only "-I$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
can_build "OpenBLAS is missing; on Debian or Ubuntu: apt install libopenblas-dev" \
  $'#include <cblas.h>\nint main() { return cblas_sasum(0, nullptr, 1) != 0; }' -lopenblas

"$PYTHON" -m venv "$work/venv"
build=$work/venv/bin/python
purelib() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
# Packages of the build environment come first, torch and numpy are found behind them.
purelib "$PYTHON" >"$(purelib "$build")/borrowed.pth"
"$build" -m pip --disable-pip-version-check install --quiet 'setuptools>=77.0.3,<81' wheel ninja

# Its setup.py calls a bare `pip uninstall` (so ours must be first in PATH), builds for CUDA where torch sees a GPU
# (which fails with CUDA 12 and newer), and asks numpy.distutils, gone in Python 3.12, unless it is told the BLAS.
export PATH=$work/venv/bin:$PATH CUDA_VISIBLE_DEVICES= MAX_JOBS=${MAX_JOBS:-$(nproc)}
unset PYTHONPATH
echo "building MinkowskiEngine $VERSION: about 10 minutes on two cores"
"$build" -m pip --disable-pip-version-check wheel --no-deps --no-binary MinkowskiEngine --no-build-isolation \
  --use-pep517 --config-settings=--global-option=--blas=openblas --wheel-dir "$work" "MinkowskiEngine==$VERSION" \
  >"$work/build.log" 2>&1 || { tail -n 60 "$work/build.log" >&2; fail "the build failed, see its last lines above"; }
"$PYTHON" -m pip --disable-pip-version-check install --no-deps --force-reinstall "$work"/*.whl

reason=$(reason_unavailable 2>&1) || fail "$reason"
echo "MinkowskiEngine $VERSION is installed"
