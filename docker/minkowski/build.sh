#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 with CUDA 12 and the environment whose pip is first in PATH, for sm_70 to sm_90.
# Usage: build.sh FOLDER_OF_HEADERS_TXT [TARGET]; it goes into the folder TARGET, or into that environment.
# The headers that CUDA 12 does not bring along are listed in headers.txt, a line "file header", and put in front.
set -euo pipefail
here=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
pip download --no-deps --no-binary :all: --no-build-isolation MinkowskiEngine==0.5.4
tar xzf MinkowskiEngine-0.5.4.tar.gz
cd MinkowskiEngine-0.5.4
while read -r file header; do
  case $file in '' | '#'*) continue ;; esac
  [ -f "$file" ] || { echo "error: $file is not in this version of MinkowskiEngine" >&2; exit 1; }
  printf '%s: #include <%s>\n' "$file" "$header"
  sed -i "1i #include <$header>" "$file"
done <"$here/headers.txt"
if [ "${PATCH_ONLY:-}" ]; then exit 0; fi
export TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST:-7.0;7.5;8.0;8.6;9.0}" MAX_JOBS="${MAX_JOBS:-4}" FORCE_CUDA=1
pip wheel --no-deps --no-build-isolation --use-pep517 \
  --config-settings=--global-option=--blas=openblas --config-settings=--global-option=--force_cuda --wheel-dir "$work" .
pip install --no-deps ${2:+--target "$2"} "$work"/*.whl
