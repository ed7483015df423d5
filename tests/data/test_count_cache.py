"""Counts of files that are kept on disk: no file is opened twice, and nothing wrong is believed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot
from larcv_files import image2d_tree, made_event, write_larcv3, write_root, write_trees
from made_events import random_event
from pilarnet_files import empty_event, raw_event, write_pilarnet
from test_readers_voxels import write

from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.larcv_file import LarcvFileWriter
from lartpc_sparse.data.readers import LarcvHdf5Config, LarcvRootConfig, PilarnetConfig, ReaderConfig, VoxelsConfig
from lartpc_sparse.data.readers import file_counter as counter_module
from lartpc_sparse.data.readers.count_cache import CountCache, FileCount, cache_folder
from lartpc_sparse.data.readers.file_counter import FileCounter
from lartpc_sparse.schema import LartpcSparseWarning, UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LARTPC_SPARSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the HDF5 and ROOT files that are opened."""
    paths: list[str] = []
    original = h5py.File

    def note(path: str, *args: object, **kwargs: object) -> h5py.File:
        paths.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(h5py, "File", note)
    original_root = uproot.open

    def note_root(path: str, *args: object, **kwargs: object) -> object:
        paths.append(path)
        return original_root(path, *args, **kwargs)

    monkeypatch.setattr(uproot, "open", note_root)
    return paths


def voxels(folder: Path) -> ReaderConfig:
    for number in range(3):
        write(folder / f"{number}.h5", [random_event(10 * number + i, n) for i, n in enumerate((3, 0, number))])
    return VoxelsConfig(files=(f"{folder}/*.h5",))


def pilarnet(folder: Path, *, compressed: bool = False) -> ReaderConfig:
    for number in range(3):
        path = folder / f"{number}.h5"
        write_pilarnet(path, [empty_event(), raw_event(number), raw_event(number + 7)])
        if compressed:
            with h5py.File(path, "a") as file:
                rows = file["point"][:]
                del file["point"]
                data = file.create_dataset(
                    "point", (len(rows),), dtype=h5py.vlen_dtype(np.float32), chunks=(2,), compression="gzip"
                )
                for entry, row in enumerate(rows):
                    data[entry] = row
    return PilarnetConfig(files=(f"{folder}/*.h5",))


def larcv3(folder: Path) -> ReaderConfig:
    for number in range(3):
        write_larcv3(folder / f"{number}.h5", [made_event(10 * number + i) for i in range(3)])
    return LarcvHdf5Config(files=(f"{folder}/*.h5",))


def larcv3_clusters(folder: Path) -> ReaderConfig:
    larcv3(folder)
    return LarcvHdf5Config(files=(f"{folder}/*.h5",), image="cluster3d", semantic=None)


def larcv3_own(folder: Path) -> ReaderConfig:
    classes = ("track", "shower", "delta")
    for number in range(3):
        with LarcvFileWriter(folder / f"{number}.h5", image_size=(16, 16, 16), classes=classes) as writer:
            for i in range(3):
                writer.write(random_event(10 * number + i, i))
    return LarcvHdf5Config(files=(f"{folder}/*.h5",))


def larcv2(folder: Path) -> ReaderConfig:
    for number in range(3):
        write_root(folder / f"{number}.h5", [made_event(10 * number + i) for i in range(3)])
    return LarcvRootConfig(files=(f"{folder}/*.h5",))


def larcv2_images(folder: Path) -> ReaderConfig:
    rng = np.random.default_rng(1)
    for number in range(3):
        images = [[rng.uniform(-1, 1, (6, 4))] for _ in range(3)]
        write_trees(folder / f"{number}.h5", {"image2d_data_tree": image2d_tree(images)})
    return LarcvRootConfig(files=(f"{folder}/*.h5",), image="image2d")


MAKERS = [
    voxels,
    pilarnet,
    partial(pilarnet, compressed=True),
    larcv3,
    larcv3_clusters,
    larcv3_own,
    larcv2,
    larcv2_images,
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_second_start_opens_no_file(tmp_path: Path, opened: list[str], make: Callable[[Path], ReaderConfig]) -> None:
    config = make(tmp_path)
    opened.clear()
    first = config.build()
    counts = first.num_voxels()
    assert opened
    opened.clear()
    again = config.build()
    np.testing.assert_array_equal(again.num_voxels(), counts)
    assert len(again) == 9
    assert again.classes == first.classes
    assert opened == []
    assert [len(again.read(index)) for index in range(9)] == counts.tolist()


@pytest.mark.parametrize("make", MAKERS)
def test_a_changed_file_is_counted_again(
    tmp_path: Path, opened: list[str], make: Callable[[Path], ReaderConfig]
) -> None:
    config = make(tmp_path)
    config.build().num_voxels()
    shutil.copy(tmp_path / "0.h5", tmp_path / "1.h5")
    os.utime(tmp_path / "1.h5", ns=(0, 12345))
    opened.clear()
    counts = config.build().num_voxels()
    assert set(opened) == {str(tmp_path / "1.h5")}
    assert counts[3:6].tolist() == counts[:3].tolist()


@pytest.mark.parametrize("make", [larcv3, larcv2, larcv2_images])
def test_a_part_of_larcv_files_is_counted_once(
    tmp_path: Path, opened: list[str], make: Callable[[Path], ReaderConfig]
) -> None:
    config = make(tmp_path)
    counts = config.build().num_voxels()
    part = config.model_copy(update={"select": (2, 7)})
    np.testing.assert_array_equal(part.build().num_voxels(), counts[2:7])
    opened.clear()
    again = part.build()
    np.testing.assert_array_equal(again.num_voxels(), counts[2:7])
    assert opened == []
    assert [len(again.read(index)) for index in range(5)] == counts[2:7].tolist()


def test_options_of_larcv_images_are_counted_apart(tmp_path: Path) -> None:
    config = larcv2_images(tmp_path)
    all_pixels = config.build().num_voxels()
    bright = config.model_copy(update={"threshold": 0.5}).build()
    assert (bright.num_voxels() < all_pixels).all()
    assert [len(bright.read(index)) for index in range(9)] == bright.num_voxels().tolist()
    clusters = larcv3(tmp_path)
    by_clusters = clusters.model_copy(update={"image": "cluster3d", "semantic": None}).build()
    assert (by_clusters.num_voxels() != clusters.build().num_voxels()).any()
    assert [len(by_clusters.read(index)) for index in range(9)] == by_clusters.num_voxels().tolist()


@pytest.mark.parametrize("make", [larcv3, larcv3_own, larcv2])
def test_many_larcv_files_are_counted_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], ReaderConfig]
) -> None:
    monkeypatch.setattr(counter_module, "MIN_PARALLEL", 2)
    reader = make(tmp_path).build()
    assert [len(reader.read(index)) for index in range(9)] == reader.num_voxels().tolist()


def test_a_larcv_file_that_shrank_is_named(tmp_path: Path) -> None:
    reader = larcv3(tmp_path).build()
    write_larcv3(tmp_path / "1.h5", [made_event(3)])
    with pytest.raises(UserError, match=r"1\.h5 has changed since the reader was made"):
        reader.read(5)


def test_the_files_of_a_window_are_enough(tmp_path: Path, opened: list[str]) -> None:
    config = voxels(tmp_path).model_copy(update={"limit": 2})
    opened.clear()
    config.build()
    assert set(opened) == {str(tmp_path / "0.h5")}


def test_options_are_checked_on_cached_files_too(tmp_path: Path) -> None:
    config = voxels(tmp_path)
    config.build()
    with pytest.raises(UserError, match=r"0\.h5 has no labels \['pid'\]; it has \['instance', 'semantic'\]"):
        config.model_copy(update={"labels": ("pid",)}).build()


def test_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a b.h5", "ö.h5", os.fsdecode(b"bad\xff.h5"))]
    for number, name in enumerate(names):
        Path(name).write_bytes(b"x" * number)
    store = CountCache("test", tmp_path / "cache")
    store.load(names)
    store.save({name: FileCount(number, np.arange(number)) for number, name in enumerate(names)})
    found = CountCache("test", tmp_path / "cache").load(names)
    assert [found[name].num_events for name in names] == [0, 1, 2]
    assert CountCache("another", tmp_path / "cache").load(names) == {}


def test_a_file_that_changes_while_it_is_counted_is_not_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "a.h5")
    Path(path).write_bytes(b"one")
    store = CountCache("test", tmp_path / "cache")
    store.load([path])
    Path(path).write_bytes(b"other")
    store.save({path: FileCount(1)})
    assert CountCache("test", tmp_path / "cache").load([path]) == {}


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_cache_is_ignored_with_a_word(
    tmp_path: Path, cache: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = voxels(tmp_path)
    counts = config.build().num_voxels()
    (kept,) = cache.glob("counts-*.npz")
    data, rng = bytearray(kept.read_bytes()), np.random.default_rng(seed)
    if seed % 2:
        data = data[: rng.integers(len(data))]
    else:
        for position in rng.integers(len(data), size=20):
            data[position] ^= 1 << rng.integers(8)
    kept.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="lartpc_sparse"):
        np.testing.assert_array_equal(config.build().num_voxels(), counts)
    if seed % 2:
        assert "cannot be read" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(config.build().num_voxels(), counts)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").touch()
    monkeypatch.setenv("LARTPC_SPARSE_CACHE", str(tmp_path / "plain"))
    with pytest.warns(LartpcSparseWarning, match="LARTPC_SPARSE_CACHE"):
        assert len(voxels(tmp_path).build()) == 9


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("LARTPC_SPARSE_CACHE", "off")
    assert cache_folder() is None
    assert len(voxels(tmp_path).build()) == 9
    monkeypatch.delenv("LARTPC_SPARSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/lartpc_sparse")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/lartpc_sparse")


def _save_often(folder: Path, names: list[str], number: int) -> None:
    for _ in range(30):
        store = CountCache("race", folder)
        store.load(names)
        store.save({names[number]: FileCount(number, np.arange(number))})


def test_two_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{number}.h5") for number in range(2)]
    for name in names:
        Path(name).touch()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_save_often, args=(tmp_path / "cache", names, n)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = CountCache("race", tmp_path / "cache").load(names)
    assert found
    assert all(count.num_events == names.index(name) for name, count in found.items())
    assert len(list((tmp_path / "cache").iterdir())) == 1


def _visit(path: str) -> FileCount:
    if Path(path).name == "bad":
        raise UserError(f"{path} is bad")
    return FileCount(int(Path(path).stem), facts=str(os.getpid()))


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(counter_module, "MIN_PARALLEL", 3)
    return


@pytest.mark.usefixtures("few_are_many")
def test_many_files_are_visited_by_other_processes_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / f"{number}") for number in range(100)]
    for name in names:
        Path(name).touch()
    with FileCounter(names, _visit, "test") as counter:
        assert [counter.num_events(name) for name in names] == list(range(100))
        assert str(os.getpid()) not in {counter.count(name).facts for name in names}
        assert counter.opened == 100
    assert "100/100 files" in capsys.readouterr().err
    with FileCounter(names, _visit, "test") as counter:
        assert [counter.num_events(name) for name in names] == list(range(100))
        assert counter.opened == 0
    assert not capsys.readouterr().err


@pytest.mark.usefixtures("few_are_many")
def test_a_bad_file_is_an_error_only_when_it_is_asked_for(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("0", "1", "2", "bad", "4", "5")]
    for name in names:
        Path(name).touch()
    with FileCounter(names, _visit, "test") as counter:
        assert [counter.num_events(name) for name in names[:3]] == [0, 1, 2]
    with FileCounter(names, _visit, "test") as counter:
        counter.count(names[0])
        with pytest.raises(UserError, match="bad is bad"):
            counter.count(names[3])
    with FileCounter(names[:3], _visit, "test") as counter:  # what was counted before the error is kept
        assert [counter.num_events(name) for name in names[:3]] == [0, 1, 2]
        assert counter.opened == 0


def _visit_and_say_so(path: str) -> FileCount:
    Path(f"{path}.visited").write_text(str(os.getpid()))
    return _visit(path)


@pytest.mark.usefixtures("few_are_many")
def test_files_are_visited_before_the_first_question(tmp_path: Path) -> None:
    names = [str(tmp_path / str(number)) for number in range(40)]
    for name in names:
        Path(name).touch()
    with FileCounter(names, _visit_and_say_so, "test") as counter:
        counter.look_ahead()
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.visited"))) < len(names):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not counter.found
        assert [counter.num_events(name) for name in names] == list(range(40))
    assert str(os.getpid()) not in {path.read_text() for path in tmp_path.glob("*.visited")}


@pytest.mark.usefixtures("few_are_many")
def test_voxels_are_counted_while_a_block_runs(tmp_path: Path) -> None:
    events = [made_event(seed) for seed in range(2)]
    files = [write_larcv3(tmp_path / f"{number}.h5", events) for number in range(4)]
    config = LarcvHdf5Config(files=(str(tmp_path / "*.h5"),))
    expected = config.build().num_voxels().tolist()
    counted_meanwhile = LarcvHdf5Config(files=(str(tmp_path / "*.h5"),), select=(1, 8)).build()
    dataset = EventDataset(counted_meanwhile, (), seed=0)
    with pytest.raises(RuntimeError, match="the block failed"), dataset.counting_voxels():
        raise RuntimeError("the block failed")
    with dataset.counting_voxels():
        pass
    for file in files:
        file.unlink()  # nothing is left to open
    assert dataset.num_voxels().tolist() == expected[1:]


def _die(path: str) -> FileCount:
    os._exit(3)


@pytest.mark.usefixtures("few_are_many")
def test_a_process_that_dies_is_an_error_with_the_files(tmp_path: Path) -> None:
    names = [str(tmp_path / str(number)) for number in range(4)]
    counter = FileCounter(names, _die, "test")
    with counter, pytest.raises(UserError, match=r"process that counted events died.*0 to .*3"):
        counter.count(names[0])
