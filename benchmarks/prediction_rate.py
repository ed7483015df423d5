"""Events a second of the step `predict`, from the file to predictions.h5, with all its parts.

    python -m benchmarks.prediction_rate [--events 200] [--threads 1 2] [--cases 3d planes] [--precision 32 bf16]

Cases: `3d`, events of some 7,800 voxels (two or three of the packaged sample laid over one another) with the
packaged weights `semantic3d-small`; `planes`, whole 3456 x 1008 images of the plane Y, simulated from the packaged
sample, with an untrained network of the size of configs/sparsessnet_planes_small.yaml. Loading of the network is timed,
the start of the process is not; reading, transforms, network, decoding and writing are. Run it on an idle machine: it
says when it is not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import torch
import yaml

from benchmarks.machine import describe_machine, measure_load
from lartpc_sparse.config import ChainConfig
from lartpc_sparse.run import main as run_chain
from lartpc_sparse.steps.predict_step import run_prediction
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.yaml_config import dump_config, load_config

_SAMPLE = {"kind": "sample", "split": "all"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200, help="events that are timed")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=8, help="events in a batch")
    parser.add_argument("--cases", nargs="+", choices=["3d", "planes"], default=["3d", "planes"])
    parser.add_argument("--precision", nargs="+", choices=["32", "bf16"], default=["32"], help="of predict")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    load = measure_load()
    print(describe_machine())
    print(f"BUSY: {load}" if load.is_busy else f"idle: {load}")
    print(
        f"{'case':8s} {'precision':>9s} {'threads':>7s} {'events':>7s} {'voxels/event':>13s} "
        f"{'events/s':>9s} {'voxels/s':>10s}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases:
            chain = _chain_3d(Path(folder)) if case == "3d" else _chain_planes(Path(folder), options.events)
            chain["data"]["batch"] = {"events": options.batch}
            for threads, precision in itertools.product(options.threads, options.precision):
                torch.set_num_threads(threads)
                chain["predict"] = {"precision": precision}
                name = f"{case}_{threads}_{precision}"
                _measure(chain, Path(folder) / f"warm_{name}", 2 * options.batch)
                events, voxels, seconds = _measure(chain, Path(folder) / name, options.events)
                print(
                    f"{case:8s} {precision:>9s} {threads:7d} {events:7d} {voxels / events:13,.0f} "
                    f"{events / seconds:9.1f} {voxels / seconds:10,.0f}"
                )


def _measure(chain: dict[str, Any], folder: Path, events: int) -> tuple[int, int, float]:
    """Events, voxels and seconds of a prediction."""
    own = {**chain, "run": {"output_dir": str(folder)}}
    own["data"] = {**chain["data"], "test": {**chain["data"]["test"], "limit": events}}
    folder.mkdir()
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump(own))
    config = load_config(path, ChainConfig)
    begin = time.perf_counter()
    with _quiet():
        run_prediction(config, RunFolder(config), dump_config(config))
    seconds = time.perf_counter() - begin
    with h5py.File(folder / "predictions.h5") as file:
        offsets = file["offsets"][:]
    return len(offsets) - 1, int(offsets[-1]), seconds


def _chain_3d(folder: Path) -> dict[str, Any]:
    overlay = {"count": [1, 2], "probability": 1.0, "use": ["test"]}
    return {"weights": "semantic3d-small", "data": {"test": _SAMPLE, "overlay": overlay}, "predict": {}}


def _chain_planes(folder: Path, events: int) -> dict[str, Any]:
    made = folder / "made"
    source = {"kind": "wire_planes", "events": min(events, 400), "reader": _SAMPLE}
    reader = {"kind": "voxels", "files": [str(made / "events" / "y_*.h5")]}
    chain = {
        "run": {"output_dir": str(made)},
        "simulate": source,
        "data": {
            "train": {**reader, "limit": 2},
            "validation": {**reader, "limit": 2},
            "transforms": [
                {"kind": "energy_threshold", "min_mev": 10, "max_mev": 300},
                {"kind": "log_energy", "min": 10, "max": 300},
            ],
        },
        "model": {
            "dim": 2,
            "backbone": {"kind": "uresnet", "filters": 16, "depth": 5},
            "heads": {"semantic": {"kind": "semantic"}},
        },
        "train": {"epochs": 1},
    }
    path = folder / "planes.yaml"
    path.write_text(yaml.safe_dump(chain))
    with _quiet():
        if run_chain([str(path)]):
            raise SystemExit("the planes could not be simulated")
    return {"weights": str(made), "data": {"test": reader}, "predict": {}}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


if __name__ == "__main__":
    main()
