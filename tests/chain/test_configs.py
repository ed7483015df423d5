"""Every chain under configs/ is valid and runs one epoch on a few events."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.run import main
from lartpc_sparse.variants import SIMULATION, lay_out
from lartpc_sparse.yaml_config import dump_config, load_config, load_variants

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
VARIED = [path for path in CONFIGS if "for_each" in yaml.safe_load(path.read_text())]
OWN_EVENTS = [path for path in CONFIGS if path.name == "lardrip2d_small.yaml"]
TRAINING = [
    path
    for path in CONFIGS
    if not path.name.startswith(("simulate_", "camera_")) and path not in VARIED and path not in OWN_EVENTS
]
SIMULATING = [path for path in CONFIGS if path.name.startswith("simulate_")]


@pytest.fixture(scope="session")
def plane_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two images of the plane y, from the packaged sample."""
    folder = tmp_path_factory.mktemp("planes")
    source = {"kind": "wire_planes", "events": 2, "reader": {"kind": "sample", "split": "train"}}
    chain = folder / "planes.yaml"
    chain.write_text(yaml.safe_dump({"run": {"output_dir": str(folder)}, "simulate": source}))
    assert main([str(chain)]) == 0
    return str(folder / "events" / "y_*.h5")


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.name)
def test_a_config_runs_on_the_sample(path: Path, tmp_path: Path, plane_file: str) -> None:
    values = yaml.safe_load(dump_config(load_config(path, ChainConfig)))
    for part, split in (("train", "train"), ("validation", "validation"), ("test", "test")):
        if part in values["data"]:
            planes = values.get("model", {}).get("dim") == 2
            reader = {"kind": "voxels", "files": [plane_file]} if planes else {"kind": "sample", "split": split}
            values["data"][part] = {**reader, "limit": 2}
    values["data"]["batch"] = {"events": 2}
    values["run"]["output_dir"] = str(tmp_path / "run")
    if "train" in values:
        values["train"] |= {"epochs": 1, "precision": "32"}
        if "weights" not in values:
            values["model"]["backbone"] |= {"filters": 4}
    chain = tmp_path / path.name
    chain.write_text(yaml.safe_dump(values, sort_keys=False))
    assert main([str(chain)]) == 0
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("path", SIMULATING, ids=lambda path: path.name)
def test_a_simulating_config_runs(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    few = ["simulate.events=1", "simulate.processes=1"]
    simulate = yaml.safe_load(path.read_text())["simulate"]
    generator = "simulate.generator" if simulate.get("generator") else "simulate"
    if "geant4" in (simulate["kind"], simulate.get("generator", {}).get("kind")):
        if importlib.util.find_spec("geant4_pybind") is None:
            pytest.skip("the package geant4-pybind is not installed")
        few.append(f"{generator}.tables={request.getfixturevalue('shared_data') / 'g4data'}")
    assert main([str(path), "--set", *few, f"run.output_dir={tmp_path}"]) == 0
    streams = {file.stem.rpartition("_")[0] for file in (tmp_path / "events").glob("*.h5")}
    for stream in streams - {"frames"}:  # frames of a camera are no voxels; their stream truth is
        assert len(VoxelsConfig(files=(str(tmp_path / "events" / f"{stream}_*.h5"),)).build()) == 1


def few_events(values: dict[str, Any], tmp_path: Path) -> list[str]:
    """Settings that make a chain one of three events and a tiny network."""
    few = [f"run.output_dir={tmp_path}", "data.batch={events: 2}"]
    if "train" in values:
        few += ["model.backbone.filters=2", "train.epochs=1"]
    parts = enumerate(("train", "validation", "test"))
    few += [f"data.{part}.select=[{event}, {event + 1}]" for event, part in parts if part in values["data"]]
    if "simulate" in values:
        few += ["simulate.events=3", "simulate.processes=1"]
    return few


@pytest.mark.parametrize("path", OWN_EVENTS, ids=lambda path: path.name)
def test_a_config_with_events_of_its_own_runs(path: Path, tmp_path: Path) -> None:
    assert main([str(path), "--set", *few_events(yaml.safe_load(path.read_text()), tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("path", VARIED, ids=lambda path: path.name)
def test_one_variant_of_a_config_runs(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    few = few_events(values, tmp_path)
    one = [f"{name}={next(iter(choices))}" for name, choices in values["for_each"].items()]
    assert main([str(path), "--set", *few, "--variant", *one]) == 0
    states = [variant["status"] for variant in json.loads((tmp_path / "summary.json").read_text())["variants"]]
    assert states[0] == "done"
    assert set(states[1:]) == {"not run"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_resolved_config_loads_to_the_same(path: Path, tmp_path: Path) -> None:
    variants = load_variants(path, ChainConfig, (), SIMULATION)
    for variant in lay_out(variants).variants if variants[0].labels else variants:
        resolved = tmp_path / "resolved.yaml"
        resolved.write_text(dump_config(variant.config))
        assert load_config(resolved, ChainConfig) == variant.config


def test_the_schema_is_json() -> None:
    schema = json.dumps(ChainConfig.model_json_schema())
    for kind in ("pilarnet", "voxels", "sample", "uresnet", "semantic", "spatial_embedding", "inpaint"):
        assert f'"{kind}"' in schema


def test_an_empty_section_is_present_and_an_absent_one_stays_absent(tmp_path: Path) -> None:
    values = yaml.safe_load(next(path for path in CONFIGS if path.name == "demo.yaml").read_text())
    del values["report"]
    values["evaluate"] = None
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(values, sort_keys=False))
    config = load_config(chain, ChainConfig)
    assert config.evaluate is not None
    assert config.report is None
    chain.write_text(dump_config(config))
    assert load_config(chain, ChainConfig) == config
