#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 with CUDA 12 and the environment whose pip is first in PATH, for sm_70 to sm_90.
# Usage: build.sh FOLDER_OF_CUDA12_H [TARGET]; it goes into the folder TARGET, or into that environment.
# Unless its setup.py is told the BLAS, it asks numpy.distutils, which Python 3.12 has not; so `pip download` fails, too.
set -euo pipefail
here=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST:-7.0;7.5;8.0;8.6;9.0}" MAX_JOBS="${MAX_JOBS:-4}"
export NVCC_PREPEND_FLAGS="-include $here/cuda12.h ${NVCC_PREPEND_FLAGS:-}"
pip wheel --no-deps --no-binary MinkowskiEngine --no-build-isolation --use-pep517 \
  --config-settings=--global-option=--blas=openblas --config-settings=--global-option=--force_cuda \
  --wheel-dir "$work" MinkowskiEngine==0.5.4
pip install --no-deps ${2:+--target "$2"} "$work"/*.whl
