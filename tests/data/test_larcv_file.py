"""The larcv3 writer: what goes in comes out, bit for bit; and larcv itself reads it, where it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from reader_contract import ReaderContract, assert_same_event

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.larcv_file import LarcvFileWriter
from lartpc_sparse.data.readers import LarcvHdf5Config, LarcvReader, SampleConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.schema import BadEventError, UserError

CLASSES = ("track", "shower", "delta")


def write(path: Path, events: list[Event], **options: Any) -> Path:
    with LarcvFileWriter(path, image_size=events[0].image_size, classes=events[0].classes, **options) as writer:
        for event in events:
            writer.write(event)
        assert len(writer) == len(events)
    return path


def config(*paths: Path, **options: Any) -> LarcvHdf5Config:
    return LarcvHdf5Config(files=tuple(map(str, paths)), **options)


def same(found: Event, written: Event) -> None:
    assert_same_event(found.replace(key=written.key), written)


def rich_event(seed: int, n: int = 50, entry: int = 0) -> Event:
    """All kinds of columns, and labels that a float cannot hold."""
    rng = np.random.default_rng(seed)
    event = random_event(seed, n, entry=entry)
    return event.with_labels(
        instance=rng.integers(-1, 4, n),
        group=rng.choice([-1, 2**24 + 1, 2**31 - 1, -(2**53) - 1, 7], n),
        score=rng.normal(size=n).astype(np.float32),
    ).replace(
        particles={
            "pdg": rng.choice([11, 13, 2212], 4),
            "pid": rng.integers(-1, 5, 4).astype(np.int8),
            "energy_init": rng.uniform(size=4),
            "vertex_x": rng.uniform(size=4).astype(np.float32),
            "direction": rng.normal(size=(4, 3)),
            "is_primary": rng.random(4) < 0.5,
        }
    )


class TestLarcvOwnReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> LarcvHdf5Config:
        paths = folder / "0.h5", folder / "1.h5"
        for number, path in enumerate(paths):
            if not path.exists():
                events = [rich_event(3 * number + i, n) for i, n in enumerate((0, 30, 1, 70))]
                write(path, events)
        return config(*paths, **options)


def test_flat_to_larcv3_to_flat_is_equal_bit_for_bit(tmp_path: Path) -> None:
    source = SampleConfig(split="validation").build()
    events = [source.read(index) for index in range(len(source))]
    path = write(tmp_path / "a.h5", events, voxel_size_mm=3.0, origin="sample")
    back = config(path).build()
    assert [len(back), back.classes, back.image_size] == [len(source), source.classes, source.image_size]
    assert back.voxel_size_mm == 3.0  # type: ignore[attr-defined]
    assert config(write(tmp_path / "c.h5", events[:1])).build().voxel_size_mm is None  # type: ignore[attr-defined]
    flat = tmp_path / "b.h5"
    with VoxelFileWriter(flat, image_size=back.image_size, classes=back.classes) as writer:
        for index, event in enumerate(events):
            same(back.read(index), event)
            writer.write(back.read(index))
    with h5py.File(flat, locking=False) as one, h5py.File(source.files[0], locking=False) as other:
        names: list[str] = []
        other.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert len(names) > 15
        for name in names:
            np.testing.assert_array_equal(one[name][:], other[name][:], strict=True, err_msg=name)


def test_columns_of_every_kind(tmp_path: Path) -> None:
    events = [rich_event(seed, n) for seed, n in enumerate((0, 40, 0, 1, 25))]
    reader = config(write(tmp_path / "a.h5", events)).build()
    for index, event in enumerate(events):
        same(reader.read(index), event)
        assert reader.event_id(index) == (0, 0, index)


@given(st.lists(recipes(duplicates=True), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, drawn: list[Recipe]) -> None:
    events = [recipe.event() for recipe in drawn if recipe.image_size == drawn[0].image_size]
    reader = config(write(tmp_path_factory.mktemp("trip") / "a.h5", events)).build()
    for index, event in enumerate(events):
        same(reader.read(index), event)


def test_events_without_labels_and_particles(tmp_path: Path) -> None:
    empty = make_event([], entry=0).replace(labels={}, particles={})
    full = rich_event(1, 20)
    reader = config(write(tmp_path / "a.h5", [empty, full, full.replace(particles={}), empty])).build()
    same(reader.read(1), full)
    for index in (0, 3):
        event = reader.read(index)
        assert len(event) == 0
        assert event.labels.keys() == full.labels.keys()
    assert {len(column) for column in reader.read(2).particles.values()} == {0}
    nothing = config(write(tmp_path / "b.h5", [empty])).build()
    assert (nothing.read(0).labels, nothing.read(0).particles) == ({}, {})


def test_larcv_products_agree_with_the_event(tmp_path: Path) -> None:
    """Read as any larcv file: energy, classes by shape, voxel sets by particle."""
    source = SampleConfig(split="test", limit=6).build()
    events = [source.read(index) for index in range(6)]
    events = [event.with_labels(instance=np.minimum(event.labels["instance"], 3)) for event in events]
    reader = config(write(tmp_path / "a.h5", events), layout="larcv", split_tracks=False).build()
    assert reader.products.semantic == "sparse3d_pcluster_semantics"
    for index, event in enumerate(events):
        found = reader.read(index)
        rows = np.lexsort(event.coords.T[::-1])
        np.testing.assert_array_equal(found.coords, event.coords[rows])
        np.testing.assert_array_equal(found.energy, event.energy[rows])
        shape = {"HIP": "track", "MIP": "track"}
        names = [shape.get(event.classes[k], event.classes[k]) if k >= 0 else "unknown"
                 for k in event.labels["semantic"][rows]]  # fmt: skip
        assert [found.classes[k] for k in found.labels["semantic"]] == names
        low = np.array(names) == "low_energy"
        np.testing.assert_array_equal(found.labels["instance"], np.where(low, -1, event.labels["instance"][rows]))
        pdg = np.array([22, 11, 13, 211, 2212, 0])[event.particles["pid"]]
        np.testing.assert_array_equal(found.particles["pdg"], pdg)
        np.testing.assert_array_equal(found.particles["vtx_x"], event.particles["vertex_x"].astype(np.float64))
        assert np.isnan(found.particles["energy_init"]).all()


def _stop_half_way(path: Path) -> None:
    with LarcvFileWriter(path, image_size=(16, 16, 16), classes=CLASSES) as writer:
        writer.write(rich_event(2))
        raise RuntimeError("stop")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", [rich_event(1)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"):
        _stop_half_way(path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5"]


BAD = [
    (lambda e: e.replace(classes=("a",)), "has classes"),
    (lambda e: e.replace(image_size=(17, 16, 16)), "has image_size"),
    (lambda e: e.replace(coords=e.coords + 16), "coords outside the image"),
    (lambda e: e.replace(energy=e.energy * np.float32(np.nan)), "energy is not finite"),
    (lambda e: e.with_labels(semantic=e.labels["semantic"] + 9), "semantic outside"),
    (lambda e: e.replace(labels={"semantic": e.labels["semantic"]}), "has labels semantic"),
    (lambda e: e.with_labels(**{"a/b": e.labels["semantic"]}), "names are letters"),
    (lambda e: e.with_labels(word=np.full(len(e), "x")), "not whole or float numbers"),
    (lambda e: e.replace(particles={"pdg": np.arange(3)}), "has particle columns"),
    (lambda e: e.replace(particles={"pdg": np.array(["x"])}), "are not numbers"),
    (lambda e: e.replace(particles={"pdg": np.arange(3), "pid": np.arange(2)}), "different lengths"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_events_that_do_not_fit_are_refused(tmp_path: Path, spoil: Any, message: str) -> None:
    good = rich_event(1)
    with LarcvFileWriter(tmp_path / "a.h5", image_size=good.image_size, classes=CLASSES) as writer:
        writer.write(good)
        with pytest.raises(ValueError, match=message):
            writer.write(spoil(good))
        writer.write(good)
    reader = config(tmp_path / "a.h5").build()
    assert len(reader) == 2
    same(reader.read(1), good)


def test_images_of_other_axes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two or three axes"):
        LarcvFileWriter(tmp_path / "a.h5", image_size=(4,), classes=())


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5", [make_event([[1, 2, 3]])])
    other = write(tmp_path / "b.h5", [make_event([[1, 2, 3]], image_size=(20, 20, 20))])
    with pytest.raises(UserError, match=r"b\.h5 has classes .* read them separately"):
        config(one, other).build()
    with h5py.File(other, "a") as file:
        file["lartpc_sparse"].attrs["format_version"] = 99
    with pytest.raises(UserError, match=r"version 99.*upgrade"):
        config(other).build()


def test_a_column_of_other_voxels_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", [rich_event(1), rich_event(2)])
    with h5py.File(path, "a") as file:
        rows = file["Data/sparse3d_column_group_group/voxels"][:]
        rows["id"][60] += 1
        file["Data/sparse3d_column_group_group/voxels"][...] = rows
    reader = config(path).build()
    same(reader.read(0), rich_event(1))
    with pytest.raises(BadEventError, match=r"entry 1: sparse3d_column_group has other voxels"):
        reader.read(1)


def test_memory_of_the_writer_is_bounded(tmp_path: Path) -> None:
    """Rows wait for one chunk at most, however many events are written."""
    event = rich_event(1, 400)
    with LarcvFileWriter(tmp_path / "a.h5", image_size=event.image_size, classes=CLASSES) as writer:
        for _ in range(60):
            writer.write(event)
        waiting = [table._num_waiting for table in vars(writer._energy).values() if hasattr(table, "_num_waiting")]
        assert max(waiting) <= 4096


READ_WITH_LARCV = """
import json, sys
import larcv
from larcv import IOManager
io = larcv.IOManager(larcv.IOManager.kREAD)
io.add_in_file(sys.argv[1])
io.initialize()
events = []
for entry in range(io.get_n_entries()):
    io.read_entry(entry)
    found = {}
    for name in json.loads(sys.argv[2]):
        tensor = io.get_data("sparse3d", name).as_vector()[0]
        voxels = tensor.as_vector()
        meta = tensor.meta()
        found[name] = [[list(meta.coordinates(v.id())), v.value()] for v in voxels]
        found["size"] = [[meta.number_of_voxels(axis), meta.image_size(axis)] for axis in range(3)]
    sets = io.get_data("cluster3d", "pcluster").as_vector()[0]
    found["sets"] = [[[v.id(), v.value()] for v in part.as_vector()] for part in sets.as_vector()]
    particles = io.get_data("particle", "pcluster").as_vector()
    found["particles"] = [[p.id(), p.pdg_code(), p.energy_init(), p.creation_process()] for p in particles]
    found["event"] = io.event_id().event()
    events.append(found)
json.dump(events, open(sys.argv[3], "w"))
"""


def python_with_larcv() -> str | None:
    """An interpreter that can import larcv: this one, or the one that LARCV_PYTHON names."""
    for python in filter(None, (sys.executable, os.environ.get("LARCV_PYTHON"))):
        if subprocess.run([python, "-c", "import larcv"], check=False, capture_output=True).returncode == 0:
            return python
    return None


@pytest.fixture(scope="module")
def python() -> str:
    found = python_with_larcv()
    if found is None:
        pytest.skip("larcv is not importable (PyPI: larcv 3.5.1; or name a Python that has it in LARCV_PYTHON)")
    return found


def test_larcv_reads_the_file_voxel_by_voxel(tmp_path: Path, python: str) -> None:
    events = [rich_event(seed, n, entry) for entry, (seed, n) in enumerate(((1, 60), (2, 0), (3, 1), (4, 90)))]
    path, out = write(tmp_path / "a.h5", events, voxel_size_mm=3.0), tmp_path / "out.json"
    names = ["pcluster", "column_semantic", "column_instance", "column_score"]
    subprocess.run(
        [python, "-c", READ_WITH_LARCV, str(path), json.dumps(names), str(out)], check=True, capture_output=True
    )
    read = json.loads(out.read_text())
    assert len(read) == len(events)
    for event, found in zip(events, read, strict=True):
        assert found["event"] == event.key.entry
        np.testing.assert_allclose(found["size"], [[16, 4.8]] * 3)
        rows = np.lexsort(event.coords.T[::-1])
        columns = {"pcluster": event.energy} | {f"column_{name}": column for name, column in event.labels.items()}
        for name in names:
            assert [c for c, _ in found[name]] == event.coords[rows].tolist()
            assert [v for _, v in found[name]] == columns[name][rows].astype(np.float32).tolist()
        ids = np.ravel_multi_index(tuple(event.coords[rows].T), event.image_size)
        instance = event.labels["instance"][rows]
        for number, members in enumerate(found["sets"]):
            inside = instance == (number if number < 4 else -1)
            assert [i for i, _ in members] == ids[inside].tolist()
            assert [v for _, v in members] == event.energy[rows][inside].tolist()
        assert len(found["sets"]) == 5
        particles = [[row, int(pdg), float(energy), ""] for row, (pdg, energy) in enumerate(
            zip(event.particles["pdg"], event.particles["energy_init"], strict=True))]  # fmt: skip
        assert found["particles"] == particles


WRITE_WITH_LARCV = """
import sys
import larcv
io = larcv.IOManager(larcv.IOManager.kWRITE)
io.set_out_file(sys.argv[1])
io.initialize()
for entry in range(3):
    planes = io.get_data("sparse2d", "wire")
    for plane in range(2):
        meta = larcv.ImageMeta2D()
        meta.set_dimension(0, 7.0, 7, 0.0)
        meta.set_dimension(1, 5.0, 5, 0.0)
        meta.set_projection_id(plane)
        voxels = larcv.VoxelSet()
        for i in range(entry + plane):
            voxels.emplace(meta.index([i, 4 - i]), float(10 * plane + i), False)
        planes.set(voxels, meta)
    particles = io.get_data("particle", "mc")
    for i in range(entry + 1):
        particle = larcv.Particle()
        particle.pdg_code(13 + i)
        particle.energy_init(100.0 + entry)
        particle.position(1.0, 2.0, 3.0, float(i))
        particles.append(particle)
    io.set_id(5, 6, 70 + entry)
    io.save_entry()
io.finalize()
"""


def test_planes_and_particles_written_by_larcv(tmp_path: Path, python: str) -> None:
    path = tmp_path / "a.h5"
    subprocess.run([python, "-c", WRITE_WITH_LARCV, str(path)], check=True, capture_output=True)
    for plane in range(2):
        reader = config(path, image="sparse2d", projection=plane).build()
        assert reader.image_size == (7, 5)
        assert isinstance(reader, LarcvReader)
        for entry in range(3):
            event = reader.read(entry)
            assert reader.event_id(entry) == (5, 6, 70 + entry)
            assert event.coords.tolist() == [[i, 4 - i] for i in range(entry + plane)]
            assert event.energy.tolist() == [10.0 * plane + i for i in range(entry + plane)]
            found = {name: event.particles[name].tolist() for name in ("id", "pdg", "energy_init", "vtx_y", "vtx_t")}
            rows = range(entry + 1)
            assert found == {
                "id": list(rows),
                "pdg": [13 + i for i in rows],
                "energy_init": [100.0 + entry] * len(rows),
                "vtx_y": [2.0] * len(rows),
                "vtx_t": [float(i) for i in rows],
            }
            assert (event.particles["trackid"] == -1).all()
