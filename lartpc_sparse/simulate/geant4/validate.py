"""Compares simulated events with a reference: `python -m lartpc_sparse.simulate.geant4.validate --help`.

Two tables, in Markdown: what the images of a sample hold, beside the packaged sample and PILArNet-M; and what single
particles leave, beside a file of reference distributions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import Reader, SampleConfig, VoxelsConfig
from lartpc_sparse.progress import track
from lartpc_sparse.simulate.geant4.config import Geant4Config
from lartpc_sparse.simulate.geant4.generator_config import BunchConfig, SpeciesConfig

__all__ = ["main", "particle_quantities", "sample_quantities"]

PILARNET_M = {"shower": 36.8, "track": 38.9, "Michel": 0.65, "delta": 1.76, "low_energy": 21.9}
"""Voxel fractions of the public data set, above 0.05 MeV, per cent."""

PARTICLES = (
    *("mu-_100", "mu+_100", "pi+_100", "pi-_300", "proton_50", "proton_100", "proton_200", "proton_400"),
    *("e-_100", "e-_300", "e-_1000", "gamma_100", "gamma_300", "gamma_1000"),
)
"""Particle and kinetic energy in MeV, as in the reference."""

_MERGED = {"track": ("HIP", "MIP"), "shower": ("shower",), "Michel": ("Michel",), "delta": ("delta",)}
_CUT_MEV = 0.13
_HALF_MM = 7000.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = command_parser("lartpc_sparse.simulate.geant4.validate", __doc__)
    parser.add_argument("files", nargs="*", help="simulated events, files of the project's own format")
    parser.add_argument("--reference", type=Path, help="JSON of single-particle distributions to compare with")
    parser.add_argument("--tables", help="directory of Geant4's tables; default: as the environment says")
    parser.add_argument("--events", type=int, default=200, help="single particles of each kind (default 200)")
    parser.add_argument("--particles", nargs="+", default=PARTICLES, help="which of the reference; default: all known")
    arguments = parser.parse_args(argv)
    if arguments.files:
        _print_sample(VoxelsConfig(files=tuple(arguments.files)).build())
    if arguments.reference is not None:
        reference = json.loads(arguments.reference.read_text())
        _print_particles(reference, arguments.particles, arguments.tables, arguments.events)
    return 0


def sample_quantities(events: Iterable[Event]) -> dict[str, np.ndarray]:
    """Per event: voxels and clusters in all and by class, voxels above 0.13 MeV, visible energy in MeV."""
    rows: dict[str, list[float]] = {}
    for event in events:
        codes = {name: [event.classes.index(c) for c in members] for name, members in _MERGED.items()}
        semantic, table = event.labels["semantic"], event.particles["semantic"][event.particles["fragment"] >= 0]
        values = {
            "voxels": float(len(event)),
            "voxels above 0.13 MeV": float((event.energy > _CUT_MEV).sum()),
            "visible energy, MeV": float(event.energy.sum()),
            "clusters": float((event.particles["n_points"] > 0).sum()),
            **{f"{name} voxels": float(np.isin(semantic, code).sum()) for name, code in codes.items()},
            "low_energy voxels": float((semantic == event.classes.index("low_energy")).sum()),
            **{f"{name} clusters": float(np.isin(table, code).sum()) for name, code in codes.items()},
        }
        for name, value in values.items():
            rows.setdefault(name, []).append(value)
    return {name: np.array(column) for name, column in rows.items()}


def _print_sample(reader: Reader) -> None:
    packaged = [SampleConfig(split=split).build() for split in ("train", "validation", "test")]
    ours, sample = _read("simulated", [reader]), _read("packaged sample", packaged)
    counts = len(ours["voxels"]), len(sample["voxels"])
    _say(f"\n| | simulated, {counts[0]} events | packaged sample, {counts[1]} events | difference | PILArNet-M |")
    _say("|---|---|---|---|---|")
    for name, published in PILARNET_M.items():
        (a, ea), (b, eb) = (_fraction(q[f"{name} voxels"], q["voxels"]) for q in (ours, sample))
        _say(f"| {name} voxels, % | {a:.2f} ± {ea:.2f} | {b:.2f} ± {eb:.2f} | {a - b:+.2f} | {published} |")
    for name in (
        "voxels",
        "voxels above 0.13 MeV",
        "visible energy, MeV",
        *(n for n in ours if n.endswith("clusters")),
    ):
        (a, ea), (b, eb) = (_mean(q[name]) for q in (ours, sample))
        _say(f"| {name} an event | {a:.4g} ± {ea:.2g} | {b:.4g} ± {eb:.2g} | {100 * (a / b - 1):+.1f} % | |")


def _read(title: str, readers: Sequence[Reader]) -> dict[str, np.ndarray]:
    def events() -> Iterable[Event]:
        with track(title, total=sum(map(len, readers))) as bar:
            for reader in readers:
                for index in range(len(reader)):
                    yield reader.read(index)
                    bar.advance(1)

    return sample_quantities(events())


def particle_quantities(events: Iterable[Event]) -> dict[str, np.ndarray]:
    """Per event with one primary: as `sample_quantities`, and the voxels of the primary's own track."""
    kept = list(events)
    own = []
    for event in kept:
        table = event.particles
        tracks = [event.classes.index(name) for name in _MERGED["track"]]
        rows = (table["is_primary"] == 1) & np.isin(table["semantic"], tracks)
        own.append(float(table["n_points"][rows].sum()))
    return {**sample_quantities(kept), "track voxels of the primary": np.array(own)}


def _print_particles(reference: Mapping[str, Any], particles: Sequence[str], tables: str | None, n: int) -> None:
    keys: dict[str, tuple[str, ...]] = {
        "voxels": ("voxels",),
        "voxels above 0.13 MeV": ("voxels_above_0p13MeV",),
        "visible energy, MeV": ("visible_energy_MeV",),
        "track voxels of the primary": ("primary_track_voxels",),
        **{f"{name} voxels": ("voxels_by_class", name.lower()) for name in ("shower", "Michel", "low_energy")},
    }
    _say("\n| particle, MeV | quantity, mean | simulated | reference | difference | in standard errors |")
    _say("|---|---|---|---|---|---|")
    for particle in particles:
        found = reference["hadronic"].get(particle) or reference["em_only"].get(particle)
        if found is None:
            continue
        ours = particle_quantities(_shoot(particle, tables, n))
        for quantity, path in keys.items():
            there: Any = found
            for key in path:
                there = there.get(key, {})
            if there.get("mean", 0) < 1:  # absent, or hardly ever there
                continue
            (a, ea), b, eb = _mean(ours[quantity]), there["mean"], there["std"] / np.sqrt(there["n"])
            spread = (a - b) / max(float(np.hypot(ea, eb)), 1e-9)
            text = f"{a:.4g} ± {ea:.2g} | {b:.4g} ± {eb:.2g} | {100 * (a / b - 1):+.1f} % | {spread:+.1f}"
            _say(f"| {particle.replace('_', ' ')} | {quantity} | {text} |")


def _shoot(particle: str, tables: str | None, count: int) -> Iterable[Event]:
    """Single particles from near the centre of a box that contains all of them."""
    name, energy = particle.split("_")
    species = SpeciesConfig.model_validate({"particles": [name], "kinetic_energy_mev": [energy, energy]})
    middle = (_HALF_MM, _HALF_MM + 3.0)  # anywhere in one voxel
    config = Geant4Config(
        image_size=(4667, 4667, 4667),
        bunches=(BunchConfig(count=(1, 1), species=(species,), region_mm=(middle, middle, middle)),),
        tables=tables,
        min_voxels=0,
    )
    source = config.build()
    with track(particle, total=count) as bar:
        for index in range(count):
            yield source.make(17, index)["events"]
            bar.advance(1)


def _fraction(part: np.ndarray, whole: np.ndarray) -> tuple[float, float]:
    """Share of all voxels in per cent, and its standard error from the spread over events."""
    share = part.sum() / whole.sum()
    error = np.std(part - share * whole) * np.sqrt(len(whole)) / whole.sum()
    return 100 * float(share), 100 * float(error)


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / np.sqrt(max(len(values) - 1, 1)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
