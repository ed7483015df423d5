"""Settings shared by all tests: shapes and types checked at run time, one thread, repeatable properties."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

REPOSITORY = Path(__file__).resolve().parents[1]

# The warning filter in pyproject.toml makes pytest import these three before it reads this file; any other
# module would go unchecked.
EARLY = {"lartpc_sparse", "lartpc_sparse.provenance", "lartpc_sparse.schema"}
if too_early := {name for name in sys.modules if name.startswith("lartpc_sparse.")} - EARLY:
    raise RuntimeError(f"{sorted(too_early)} imported before the tests could switch the type checks on")

# Every annotation of the package is checked on every call: dtype, shape and plain types. The numeric tower
# lets an int stand for a float, as PEP 484 says and mypy assumes.
install_import_hook("lartpc_sparse", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# No deadline: a loaded machine is not a failure. On CI every run draws the same examples.
settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def count_cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests leave the cache of the user alone."""
    os.environ["LARTPC_SPARSE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the development data beside the repository; skips where it is not at hand."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("shared development data not at hand")
    return folder
