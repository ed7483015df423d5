"""What the images install holds everything that the package needs: it goes in without its dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["docker/Dockerfile", "docker/Dockerfile.v100", "docker/lartpc_sparse.def"])
def test_every_dependency_is_pinned_to_a_version_that_the_package_takes(name: str) -> None:
    lines = (ROOT / "docker" / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    recipe = (ROOT / name).read_text()
    (pinned["torch"],) = re.findall(r"pip install (?:--no-cache-dir )?torch==(\S+)", recipe)
    versions = {canonicalize_name(package): version for package, version in pinned.items()}
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        wanted = Requirement(text)
        assert versions[canonicalize_name(wanted.name)] in wanted.specifier, text


@pytest.mark.parametrize("name", ["docker/Dockerfile", "docker/Dockerfile.v100"])
def test_the_package_has_the_last_layer_of_its_own(name: str) -> None:
    text = (ROOT / name).read_text()
    before, final = text.rsplit("\nFROM ", 1)
    own_files = [line.split() for line in final.splitlines() if line.startswith("COPY")]
    assert own_files[-1] == ["COPY", "--from=package", "/opt/package", "/opt/package"]
    assert not re.search(r"^RUN", final, re.MULTILINE)
    # What the layers below come from sees no source of the package, or every change of it would make them anew.
    dependencies = before[before.index("AS dependencies") : before.index("AS package")]
    copied = re.findall(r"^COPY (\S+)", dependencies, re.MULTILINE)
    assert copied == ["docker/requirements.txt"]
