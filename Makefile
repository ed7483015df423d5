# `make` alone lists the targets. Everything is installed into $(VENV), nothing outside it is touched.
#
#   make demo                      CPU build of PyTorch
#   make demo TORCH=cuda           PyPI's build, for NVIDIA GPUs
#   make test PYTHON=python3.12    another interpreter, for a fresh $(VENV)

PYTHON ?= python3
VENV ?= .venv
TORCH ?= cpu
TORCH_VERSION ?= 2.13.0
JOBS ?= 2
DOCKERFILE ?= docker/Dockerfile
CHROOT ?= /var/tmp/lartpc_sparse-chroot
KILLS ?= 100

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_STAMP := $(VENV)/.torch-$(TORCH)-$(TORCH_VERSION)
STAMP := $(VENV)/.installed
# What makes an installed tree out of date: its metadata and the sources that are compiled.
SOURCES := pyproject.toml $(wildcard setup.py) \
	$(shell find lartpc_sparse -name '*.cpp' -o -name '*.cc' -o -name '*.hpp' -o -name '*.h')

# The CPU build carries a local version and exists for Linux x86_64 only; elsewhere PyPI's wheel is a CPU build.
PLATFORM := $(shell uname -s)-$(shell uname -m)
ifeq ($(TORCH)-$(PLATFORM),cpu-Linux-x86_64)
TORCH_WHEEL := "torch==$(TORCH_VERSION)+cpu" --extra-index-url https://download.pytorch.org/whl/cpu
else
TORCH_WHEEL := "torch==$(TORCH_VERSION)"
endif
ifeq ($(filter $(TORCH),cpu cuda),)
$(error TORCH=$(TORCH) is not known; write TORCH=cpu or TORCH=cuda)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test test-kills test-memory slurm-test container-test container-chroot minkowski bench bench-peers check format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | while IFS='#' read -r name text; do \
		printf '%-18s %s\n' "$$name" "$$text"; done

env: $(STAMP) ## make the virtual environment and install the package with its development tools

demo: $(STAMP) ## run the demonstration chain on the packaged sample
	$(BIN)/python -m lartpc_sparse.run configs/demo.yaml

test: $(STAMP) ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) tests

test-kills: $(STAMP) ## kill train, predict, simulate and convert 100 times at random moments and compare; an hour
	OMP_NUM_THREADS=1 LARTPC_SPARSE_KILLS=$(KILLS) $(BIN)/python -m pytest -n0 -s tests/jobs/test_kills.py

test-memory: $(STAMP) ## predict 200,000 small events and show that the memory stays flat
	OMP_NUM_THREADS=1 $(BIN)/python scripts/predict_memory.py

slurm-test: $(STAMP) ## install and start SLURM here (root, Debian); submit, preempt, requeue, finish, compare
	scripts/slurm_test.sh $(BIN)/python

container-test: $(STAMP) ## lint the container files and run their steps without a container engine
	scripts/container_test.sh $(BIN)/python

container-chroot: $(STAMP) ## run the steps of a Dockerfile in chroots (root, debootstrap; DOCKERFILE=, CHROOT= name file and folder)
	$(PIP) install dockerfile-parse==2.0.1
	$(BIN)/python scripts/container_chroot.py $(DOCKERFILE) --work $(CHROOT) \
		--skip $(if $(findstring v100,$(DOCKERFILE)),minkowski/build.sh '/opt/minkowski /opt/minkowski')

minkowski: $(STAMP) ## build MinkowskiEngine from PyPI's source package and run the contract tests on it
	scripts/install_minkowski.sh $(BIN)/python
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/sparse/test_minkowski_engine.py \
		tests/sparse/test_minkowski_package.py tests/backbone/test_from_minkowski.py

bench: $(STAMP) ## measure the engines side by side with other packages; make bench BENCH=--help lists options
	$(BIN)/python -m benchmarks $(BENCH)

bench-peers: $(STAMP) ## install spconv (CPU wheel) for the benchmark; `make minkowski` installs the other peer
	@$(PIP) install spconv==2.3.8 || { echo "error: spconv could not be installed, see pip's lines above; its" \
		"wheels are for CPython 3.11 to 3.13" >&2; exit 1; }

check: $(STAMP) ## lint, format, types and the order of imports: what CI checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## put the sources into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove caches and build products; keeps $(VENV) and runs/
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path './$(VENV)' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or later" \
		"(Debian: apt install python3 python3-venv) or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1); Python 3.11 or later is needed: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) cannot make virtual" \
		"environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# An old build of another flavour goes first: pip takes 2.13.0+cpu for 2.13.0 and would keep it.
$(TORCH_STAMP): | $(BIN)/python
	@if ls $(VENV)/.torch-* >/dev/null 2>&1; then $(PIP) uninstall --yes torch; rm -f $(VENV)/.torch-*; fi
	@$(PIP) install --retries 1 --timeout 15 $(TORCH_WHEEL) || { echo "error: PyTorch $(TORCH_VERSION) ($(TORCH)" \
		"build) could not be installed, see pip's lines above." \
		"$(if $(filter cpu,$(TORCH)),Without access to download.pytorch.org try PyPI's larger build: make TORCH=cuda)" \
		>&2; exit 1; }
	@touch $@

$(STAMP): $(TORCH_STAMP) $(SOURCES)
	@$(PIP) install -e '.[dev]' || { echo "error: the package could not be installed, see pip's lines above" >&2; exit 1; }
	@touch $@
