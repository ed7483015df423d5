"""Plain HDF5 files with flat columns and offsets, as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, readable
from hypothesis import given, settings
from pydantic import ValidationError
from reader_contract import ReaderContract

from lartpc_sparse.data.convert import main as convert
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.inspect import inspect_files
from lartpc_sparse.data.readers import ColumnsConfig, PilarnetConfig
from lartpc_sparse.schema import BadEventError, UserError

COUNTS = (5, 0, 12, 1)
CLASSES = ("HIP", "MIP", "shower", "delta", "Michel", "low_energy")
Columns = dict[str, np.ndarray]


def columns(seed: int = 0, counts: tuple[int, ...] = COUNTS) -> Columns:
    rng = np.random.default_rng(seed)
    n = sum(counts)
    clusters = np.array([min(count, 3) for count in counts])
    return {
        "coords": rng.integers(0, 32, (n, 3)).astype(np.int16),
        "energy": rng.uniform(0.05, 9, n).astype(np.float32),
        "semantic": rng.integers(-1, 5, n).astype(np.int8),
        "fragment": rng.integers(0, 9, n).astype(np.int32),
        "group": rng.integers(0, 9, n).astype(np.int64),
        "pid": rng.integers(-1, 6, n).astype(np.int8),
        "dx": rng.uniform(0, 3, n),
        "offsets": np.cumsum([0, *counts]),
        "cluster": rng.integers(0, 5, (clusters.sum(), 3)).astype(np.int32),
        "mass": rng.uniform(0, 900, clusters.sum()).astype(np.float32),
        "cluster_offsets": np.cumsum([0, *clusters]),
    }


def write(path: Path, content: Columns, **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, column in content.items():
            file[name] = column
        file.attrs.update(attributes)
    return path


def config(*paths: Path, **options: Any) -> ColumnsConfig:
    return ColumnsConfig(files=tuple(map(str, paths)), **{"image_size": (32, 32, 32), **options})


class TestColumnsReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> ColumnsConfig:
        for number in range(2):
            path = folder / f"{number}.h5"
            if not path.exists():
                write(path, columns(number))
        table = {
            "offsets": "cluster_offsets",
            "columns": {"cluster": ("fragment", "semantic", "pid"), "mass": ("mass",)},
        }
        return config(folder / "0.h5", folder / "1.h5", particles=table, **options)


def name_of(code: int, pid: int) -> str | None:
    if code == 1:
        return {2: "MIP", 3: "MIP", 4: "HIP"}.get(pid)
    return None if code < 0 else ("shower", "track", "Michel", "delta", "low_energy")[code]


def test_every_voxel_has_the_values_of_its_row(tmp_path: Path) -> None:
    content = columns()
    reader = config(write(tmp_path / "a.h5", content)).build()
    assert reader.classes == CLASSES
    row = 0
    for index, count in enumerate(COUNTS):
        event = reader.read(index)
        for voxel in range(count):
            np.testing.assert_array_equal(event.coords[voxel], content["coords"][row])
            assert event.energy[voxel] == content["energy"][row]
            label = event.labels["semantic"][voxel]
            name = name_of(content["semantic"][row], content["pid"][row])
            assert (event.classes[label] if label >= 0 else None) == name
            wanted = -1 if name == "low_energy" else content["fragment"][row]
            assert event.labels["instance"][voxel] == wanted
            assert event.labels["fragment"][voxel] == content["fragment"][row]
            row += 1
        assert event.labels.keys() == {"semantic", "instance", "fragment", "group", "pid"}
        assert event.particles == {}


def test_names_paths_and_axes_can_be_chosen(tmp_path: Path) -> None:
    content = columns()
    renamed = {f"hits/{axis}": content["coords"][:, i] for i, axis in enumerate("xyz")}
    renamed |= {"hits/q": content["energy"], "first": content["offsets"], "type": content["semantic"]}
    renamed |= {"hits/dx": content["dx"], "particle": content["group"].astype(np.uint64)}
    reader = config(
        write(tmp_path / "a.h5", renamed),
        coords=("hits/x", "hits/y", "hits/z"),
        energy="hits/q",
        offsets="first",
        labels={"semantic": "type", "instance": "particle", "dx": "hits/dx"},
        classes=("a", "b", "c", "d", "e"),
    ).build()
    plain = config(write(tmp_path / "b.h5", content), split_tracks=False).build()
    assert reader.classes == ("a", "b", "c", "d", "e")
    for index in range(len(COUNTS)):
        one, other = reader.read(index), plain.read(index)
        np.testing.assert_array_equal(one.coords, other.coords)
        np.testing.assert_array_equal(one.labels["semantic"], other.labels["semantic"])
        np.testing.assert_array_equal(one.labels["instance"], other.labels["group"])
        assert one.labels["dx"].dtype == np.float32


def test_the_particle_table_follows_the_classes(tmp_path: Path) -> None:
    content = columns()
    content["cluster"][:, 1:] = (1, 4)  # a track of a proton
    table = {"offsets": "cluster_offsets", "columns": {"cluster": ("n", "semantic", "pid"), "mass": ("mass_mev",)}}
    reader = config(write(tmp_path / "a.h5", content), particles=table).build()
    particles = reader.read(2).particles
    rows = slice(*content["cluster_offsets"][2:4])
    np.testing.assert_array_equal(particles["mass_mev"], content["mass"][rows])
    np.testing.assert_array_equal(particles["n"], content["cluster"][rows, 0])
    assert {CLASSES[code] for code in particles["semantic"]} == {"HIP"}


@pytest.mark.parametrize("missing", ["semantic", "pid", "fragment", "group"])
def test_usual_labels_may_be_missing(tmp_path: Path, missing: str) -> None:
    content = columns()
    del content[missing]
    reader = config(write(tmp_path / "a.h5", content)).build()
    event = reader.read(2)
    assert missing not in event.labels
    assert reader.classes == {"semantic": (), "pid": ("shower", "track", "Michel", "delta", "low_energy")}.get(
        missing, CLASSES
    )


def test_the_image_size_may_be_an_attribute(tmp_path: Path) -> None:
    for attributes in ({"grid": 32, "voxel_mm": 3.0}, {"image_size": [32, 32, 32], "voxel_size_mm": 3.0}):
        reader = config(write(tmp_path / "a.h5", columns(), **attributes), image_size=None).build()
        assert (reader.image_size, reader.voxel_size_mm) == ((32, 32, 32), 3.0)
    for attributes in ({}, {"grid": "large"}, {"grid": [32, 32]}, {"grid": 0}, {"grid": 1.5}):
        with pytest.raises(UserError, match=r"a\.h5 does not say how many voxels.*give the reader image_size"):
            config(write(tmp_path / "a.h5", columns(), **attributes), image_size=None).build()


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"coords": None}, {}, "no data set `coords` for coords; it has cluster,.*name the right one in `coords`"),
    ({"energy": None}, {}, "no data set `energy` for energy"),
    ({"offsets": None}, {}, "no data set `offsets`"),
    ({}, {"labels": {"semantic": "nothing"}}, "no data set `nothing` for labels.semantic"),
    ({"energy": np.zeros((18, 2))}, {}, r"`energy` has type float64 and shape \(18, 2\).*1 axes"),
    ({"energy": np.zeros(17)}, {}, "`offsets` ends at 18, but columns have other lengths.*energy.*17"),
    ({"energy": np.full(18, b"a")}, {}, "`energy` has type"),
    ({"offsets": np.array([0, 5, 5, 17])}, {}, "`offsets` ends at 17"),
    ({"offsets": np.array([5, 5, 17, 18])}, {}, "no list of offsets.*one more than the events"),
    ({"offsets": np.array([0, 7, 5, 18])}, {}, "no list of offsets.*never fall"),
    ({"offsets": np.array([0.0, 7.0, 18.0])}, {}, "no list of offsets: whole numbers"),
    ({"offsets": np.zeros(0, dtype=int)}, {}, "no list of offsets"),
    ({}, {"image_size": (32, 32)}, "coords have 3 axes, image_size 2"),
    ({"pid": None}, {"split_tracks": True}, "split_tracks wants labels semantic and pid"),
    ({}, {"split_tracks": True, "classes": ("a", "b", "c", "d", "e")}, "split_tracks wants"),
    ({}, {"particles": {"offsets": "cluster_offsets", "columns": {"cluster": ("a",)}}}, "`cluster` has 3 columns"),
    ({}, {"particles": {"offsets": "none", "columns": {"mass": ("a",)}}}, "no data set `none` for particles.offsets"),
    ({"cluster_offsets": np.array([0, 7])}, {"particles": {"offsets": "cluster_offsets", "columns": {"mass": ("a",)}}},
     "`cluster_offsets` has 2 entries, `offsets` 5"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "options", "message"), WRONG)
def test_files_that_do_not_fit_are_explained(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    content = {name: column for name, column in {**columns(), **changes}.items() if column is not None}
    path = write(tmp_path / "a.h5", content)
    with pytest.raises(UserError, match=message) as error:
        config(path, **options).build()
    assert str(path) in str(error.value)


BAD = [
    ("coords", 32, "coords of voxel 4 .* outside the image"),
    ("coords", -1, "coords of voxel 4 .* outside the image"),
    ("energy", np.nan, "energy of voxel 4"),
    ("semantic", 5, "semantic is 5 in row 4, expected -1..4"),
    ("semantic", -2, "semantic is -2"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_value_makes_a_bad_event(tmp_path: Path, name: str, value: float, message: str) -> None:
    content = columns()
    content[name][COUNTS[0] + 4] = value
    path = write(tmp_path / "a.h5", content)
    reader = config(path).build()
    with pytest.raises(BadEventError, match=f"entry 2: {message}") as error:
        reader.read(2)
    assert str(path) in str(error.value)
    assert len(reader.read(0)) == COUNTS[0]


def test_labels_beyond_64_bits_or_not_whole_make_a_bad_event(tmp_path: Path) -> None:
    content = columns()
    content["group"] = np.full(sum(COUNTS), 2**63 + 1, dtype=np.uint64)
    with pytest.raises(BadEventError, match="entry 0: group reaches 9223372036854775809"):
        config(write(tmp_path / "a.h5", content)).build().read(0)
    for value in (0.5, np.nan, np.inf):
        content = columns() | {"semantic": np.full(sum(COUNTS), value)}
        with pytest.raises(BadEventError, match="semantic is no column of whole numbers"):
            config(write(tmp_path / "a.h5", content)).build().read(0)


def test_files_that_differ_are_not_mixed(tmp_path: Path) -> None:
    less = columns(1)
    del less["pid"]
    with pytest.raises(UserError, match=r"b\.h5 has .*read them separately"):
        config(write(tmp_path / "a.h5", columns()), write(tmp_path / "b.h5", less)).build()


@pytest.mark.parametrize("options", [{"classes": ()}, {"classes": ("a", "a")}, {"image_size": (0, 2, 2)}])
def test_options_that_cannot_be_meant(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(tmp_path / "a.h5", **options)


def test_inspect_and_convert_know_the_format(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", columns(), grid=32)
    assert detect_format(str(path)) == "columns"
    found, _ = inspect_files([str(path)], None, [], 10)
    assert (found["kind"], found["events"], found["voxels"]) == ("columns", len(COUNTS), sum(COUNTS))
    assert convert([str(path), str(tmp_path / "out.h5"), "--to", "voxels", "--check"]) == 0


@settings(max_examples=100)
@given(damage=damages())
def test_damaged_copies_give_an_error_or_possible_events(
    damage: Damage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    bad = folder / "bad_columns.h5"
    bad.write_bytes(damage.of(write(folder / "columns.h5", columns()).read_bytes()))
    for event in readable(config(bad)):
        assert np.isfinite(event.energy).all()
        assert ((event.coords >= 0) & (event.coords < 32)).all()
        assert set(event.labels.get("semantic", np.zeros(0)).tolist()) <= set(range(-1, 6))


@pytest.mark.parametrize("name", ["val_flat.h5", "train_flat.h5"])
def test_the_shared_samples(shared_data: Path, name: str) -> None:
    table = {
        "offsets": "cluster_offsets",
        "columns": {
            "cluster": ("n_points", "fragment", "group", "interaction", "semantic", "pid"),
            "cluster_extra": ("mass_mev", "momentum_gev", "vertex_x", "vertex_y", "vertex_z"),
        },
    }
    flat = ColumnsConfig(files=(str(shared_data / name),), particles=table, limit=200).build()
    if name == "train_flat.h5":
        assert len(ColumnsConfig(files=(str(shared_data / name),)).build()) == 5000
        assert flat.read(150).classes == CLASSES
        return
    pilarnet = PilarnetConfig(files=(str(shared_data / "val_pilarnet.h5"),)).build()
    assert (len(flat), flat.classes, flat.image_size) == (len(pilarnet), pilarnet.classes, pilarnet.image_size)
    assert flat.voxel_size_mm == pilarnet.voxel_size_mm
    for index in range(len(flat)):
        one, other = flat.read(index), pilarnet.read(index)
        _assert_equal(one, other)


def _assert_equal(one: Event, other: Event) -> None:
    np.testing.assert_array_equal(one.coords, other.coords)
    np.testing.assert_allclose(one.energy, other.energy, rtol=2**-13)  # rounded to 12 bits in one of the files
    assert one.labels.keys() == other.labels.keys()
    for name, column in one.labels.items():
        np.testing.assert_array_equal(column, other.labels[name], err_msg=name)
    assert set(one.particles) == set(other.particles)
    for name, values in one.particles.items():
        np.testing.assert_array_equal(values, other.particles[name], err_msg=name)
