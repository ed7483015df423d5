"""The writer of the project's own format: what goes in comes out, or nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import make_event, random_event
from reader_contract import assert_same_event

from lartpc_sparse.data import voxel_file
from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import VoxelsConfig, VoxelsReader
from lartpc_sparse.data.voxel_file import VoxelFileWriter

CLASSES = ("track", "shower", "delta")
SIZE = (16, 16, 16)


def write(path: Path, events: list[Event], size: tuple[int, ...] = SIZE) -> None:
    with VoxelFileWriter(path, image_size=size, classes=CLASSES) as writer:
        for event in events:
            writer.write(event)
        assert len(writer) == len(events)


def read(path: Path) -> list[Event]:
    reader = VoxelsConfig(files=(str(path),)).build()
    return [reader.read(index) for index in range(len(reader))]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check(path: Path, events: list[Event]) -> None:
    for entry, (found, event) in enumerate(zip(read(path), events, strict=True)):
        assert_same_event(found, event.replace(key=EventKey(str(path), entry)))


@pytest.mark.parametrize("chunk_rows", [1, 3, 8, 10**6])
@given(seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 9), max_size=8), dim=st.sampled_from([2, 3]))
def test_what_goes_in_comes_out(
    chunk_rows: int, seed: int, counts: list[int], dim: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "a.h5"
    events = [random_event(seed + i, n, image_size=SIZE[:dim]) for i, n in enumerate(counts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voxel_file, "VOXEL_ROWS", chunk_rows)
        patch.setattr(voxel_file, "TABLE_ROWS", chunk_rows)
        write(path, events, SIZE[:dim])
    check(path, events)


def test_rows_are_written_as_soon_as_chunks_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxel_file, "VOXEL_ROWS", 10)
    with VoxelFileWriter(tmp_path / "a.h5", image_size=SIZE, classes=CLASSES) as writer:
        for count in range(1, 20):
            writer.write(random_event(count, 7))
            written = len(writer._file["coords"])
            assert 0 <= 7 * count - written < 10
            assert written % 10 == 0


def test_layout_is_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    particles = {"pdg": np.array([13, 11, 22]), "momentum": np.ones((3, 3), dtype=np.float32)}
    with VoxelFileWriter(
        path, image_size=SIZE, classes=CLASSES, voxel_size_mm=3.0, origin="by hand", attributes={"seed": 7}
    ) as writer:
        writer.write(random_event(0, 5).replace(particles=particles))
        writer.write(random_event(1, 0).replace(particles={}))
    with h5py.File(path) as file:
        assert as_text(file.attrs["format"]) == "lartpc_sparse.voxels"
        assert file.attrs["format_version"] == 1
        assert json.loads(file.attrs["classes"]) == list(CLASSES)
        assert file.attrs["image_size"].tolist() == [16, 16, 16]
        assert (file.attrs["voxel_size_mm"], as_text(file.attrs["origin"]), file.attrs["seed"]) == (3.0, "by hand", 7)
        assert {"lartpc_sparse_version", "git_hash", "created"} <= set(file.attrs)
        assert (file["coords"].dtype, file["energy"].dtype) == (np.int16, np.float32)
        assert (file["labels/semantic"].dtype, file["labels/instance"].dtype) == (np.int8, np.int32)
        assert file["offsets"][:].tolist() == [0, 5, 5]
        assert file["particle_offsets"][:].tolist() == [0, 3, 3]
        assert file["particles/momentum"].shape == (3, 3)
        assert all(file[name].fletcher32 for name in ("coords", "energy", "offsets", "labels/semantic"))
        assert "32001" in file["coords"]._filters  # Blosc


def test_the_tables_of_the_file_itself_have_checksums(tmp_path: Path) -> None:
    """Superblock version 3 and object headers version 2 of HDF5 1.10 do; the older ones do not."""
    write(tmp_path / "a.h5", [random_event(0, 4)])
    content = (tmp_path / "a.h5").read_bytes()
    assert content[8] == 3
    assert content.count(b"OHDR") >= 9


def test_a_large_image_has_wide_coordinates(tmp_path: Path) -> None:
    event = make_event([[40_000, 3]], image_size=(40_001, 4))
    write(tmp_path / "a.h5", [event], (40_001, 4))
    check(tmp_path / "a.h5", [event])


def test_largest_side_of_narrow_coordinates(tmp_path: Path) -> None:
    event = make_event([[32_767, 3]], image_size=(32_768, 4))
    write(tmp_path / "a.h5", [event], (32_768, 4))
    check(tmp_path / "a.h5", [event])


def test_float_labels_stay_floats(tmp_path: Path) -> None:
    event = random_event(0, 4).with_labels(score=np.array([0.5, np.nan, -1, 2], dtype=np.float32))
    write(tmp_path / "a.h5", [event])
    check(tmp_path / "a.h5", [event])


def test_empty_events_may_lack_columns(tmp_path: Path) -> None:
    bare = make_event([]).replace(labels={}, particles={})
    full = random_event(0, 4)
    write(tmp_path / "a.h5", [bare, full, bare])
    events = read(tmp_path / "a.h5")
    assert [len(event) for event in events] == [0, 4, 0]
    assert {name: len(column) for name, column in events[0].labels.items()} == {"semantic": 0, "instance": 0}
    assert [len(event.particles["pdg"]) for event in events] == [0, 2, 0]


def test_a_file_without_events_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", [])
    reader = VoxelsConfig(files=(str(tmp_path / "a.h5"),)).build()
    assert isinstance(reader, VoxelsReader)
    assert len(reader) == 0
    assert reader.num_voxels().shape == (0,)


BAD_EVENTS = [
    (random_event(1, 3, image_size=(16, 16)), "image_size"),
    (random_event(1, 3).replace(classes=("track",)), "classes"),
    (random_event(1, 3).replace(labels={"semantic": np.zeros(3, np.int64)}), "has labels"),
    (random_event(1, 3).with_labels(pid=np.zeros(3, np.int64)), "has labels"),
    (random_event(1, 3).replace(particles={"pdg": np.zeros(2, np.float32)}), "has particle columns"),
    (random_event(1, 3).replace(particles={"mass": np.zeros(2, np.int64)}), "has particle columns"),
    (random_event(1, 3).replace(particles={"pdg": np.zeros(2, int), "b": np.zeros(3)}), "different lengths"),
    (random_event(1, 3).replace(particles={"pdg": np.array(["a"])}), "are not numbers"),
    (make_event([[0, 0, 16]]), "outside the image"),
    (make_event([[0, -1, 0]]), "outside the image"),
    (make_event([[0, 0, 0]], [np.nan]), "not finite"),
    (make_event([[0, 0, 0]], [np.inf]), "not finite"),
    (make_event([[0, 0, 0]], semantic=[3]), "semantic outside"),
    (make_event([[0, 0, 0]], semantic=[-2]), "semantic outside"),
    (make_event([[0, 0, 0]]).with_labels(instance=np.array([2**31])), "does not fit int32"),
    (make_event([[0, 0, 0]]).with_labels(instance=np.array(["a"])), "has type <U1"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_EVENTS, ids=[message for _, message in BAD_EVENTS])
def test_a_bad_event_is_refused_and_the_others_are_kept(tmp_path: Path, bad: Event, message: str) -> None:
    path, good = tmp_path / "a.h5", [random_event(0, 4), random_event(2, 5)]
    with VoxelFileWriter(path, image_size=SIZE, classes=CLASSES) as writer:
        writer.write(good[0])
        with pytest.raises(ValueError, match=message) as error:
            writer.write(bad)
        assert str(bad.key) in str(error.value)
        writer.write(good[1])
    check(path, good)


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.h5"
    with VoxelFileWriter(path, image_size=SIZE, classes=CLASSES) as writer:
        writer.write(random_event(0, 4))
        assert names(path.parent) == ["a.h5.partial"]
    assert names(path.parent) == ["a.h5"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_older_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.h5"
    write(path, [random_event(0, 4)])
    before = path.read_bytes()

    def write_half() -> None:
        with VoxelFileWriter(path, image_size=SIZE, classes=CLASSES) as writer:
            writer.write(random_event(1, 9))
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == before
    assert names(tmp_path) == ["a.h5"]
