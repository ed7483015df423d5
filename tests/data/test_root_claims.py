"""ROOT files whose headers claim what they do not hold: an error in front of the memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uproot
from larcv_files import made_event, write_root

from lartpc_sparse.data.camera.frame_files import open_frames
from lartpc_sparse.data.readers import LarcvRootConfig
from lartpc_sparse.data.readers.root_basket import BasketCache
from lartpc_sparse.data.readers.root_claims import check_root_baskets
from lartpc_sparse.data.readers.root_leaf import Leaf
from lartpc_sparse.jobs import memory_limited
from lartpc_sparse.schema import UserError

EVENTS = 77
"""A number that no other of eight bytes in a tree has."""
MOST = (1 << 31) - 1
KEY = struct.Struct(">ihi")
MIB = 1 << 20


@pytest.fixture
def events_file(tmp_path: Path) -> Path:
    path = tmp_path / "events.root"
    return write_root(path, [made_event(i) for i in range(EVENTS)], events_per_basket=EVENTS)


def replace(path: Path, old: bytes, new: bytes, part: slice = slice(None)) -> int:
    """Bytes of a file, or of a part of it, in place; returns how often they were there."""
    data = bytearray(path.read_bytes())
    count = data[part].count(old)
    data[part] = data[part].replace(old, new)
    path.write_bytes(data)
    return count


def span(path: Path, name: str) -> slice:
    with uproot.open(path) as file:
        key = file.key(name)
        return slice(key.fSeekKey, key.fSeekKey + key.fNbytes)


def inflate(path: Path, where: int, places: slice = slice(None)) -> None:
    """Let the key at a position, and its copies in the file, claim 2 GB."""
    num_bytes, version, unpacked = KEY.unpack_from(path.read_bytes(), where)
    assert unpacked < MIB
    assert replace(path, KEY.pack(num_bytes, version, unpacked), KEY.pack(num_bytes, version, MOST), places) > 0


def read_all(path: Path) -> None:
    with memory_limited(256 * MIB):
        reader = LarcvRootConfig(files=(str(path),)).build()
        for index in range(len(reader)):
            reader.read(index)


def test_the_made_file_is_read_under_the_limit(events_file: Path) -> None:
    read_all(events_file)


@pytest.mark.parametrize("copy", ["both", "folder", "object"])
def test_a_tree_that_claims_gigabytes(events_file: Path, copy: str) -> None:
    where = span(events_file, "sparse3d_pcluster_tree")
    own = slice(where.start, where.start + KEY.size)
    kept = events_file.read_bytes()[own]
    inflate(events_file, where.start, own if copy == "object" else slice(None))
    if copy == "folder":
        replace(events_file, events_file.read_bytes()[own], kept, own)
    with pytest.raises(UserError, match=r"events\.root: sparse3d_pcluster_tree claims 2,147 MB, but 0\.\d+ MB are"):
        read_all(events_file)


def test_descriptions_of_classes_that_claim_gigabytes(events_file: Path) -> None:
    with uproot.open(events_file) as file:
        where = file.file.fSeekInfo
    inflate(events_file, where)
    with pytest.raises(UserError, match=r"events\.root: the list of classes claims 2,147 MB"):
        read_all(events_file)


def test_a_tree_that_claims_more_events_than_it_can_hold(events_file: Path) -> None:
    for name in ("sparse3d_pcluster", "sparse3d_pcluster_semantics", "cluster3d_pcluster", "particle_pcluster"):
        part = span(events_file, f"{name}_tree")
        assert replace(events_file, struct.pack(">q", EVENTS), struct.pack(">q", 10**12), part) > 2
    with pytest.raises(UserError, match=r"with 1,000,000,000,000 entries claims 1,000,000 MB"):
        read_all(events_file)


def test_a_basket_beyond_the_end_of_the_file(events_file: Path) -> None:
    with uproot.open(events_file) as file:
        branch = file["sparse3d_pcluster_tree"]["_voxel_v._id"]
        size, place = int(branch.member("fBasketBytes")[0]), int(branch.member("fBasketSeek")[0])
    part = span(events_file, "sparse3d_pcluster_tree")
    assert replace(events_file, struct.pack(">i", size), struct.pack(">i", MOST), part) > 0
    with pytest.raises(
        UserError, match=f"basket 0 of .*_id claims 2,147,483,647 bytes from byte {place:,} on, but the"
    ):
        read_all(events_file)


@pytest.mark.parametrize("compression", [uproot.LZ4(4), uproot.ZSTD(3), uproot.LZMA(1), None])
def test_a_basket_that_claims_gigabytes(tmp_path: Path, compression: uproot.compression.Compression | None) -> None:
    path = tmp_path / "numbers.root"
    with uproot.recreate(path, compression=compression) as file:
        file.mktree("tree", {"x": np.int64}).extend({"x": np.arange(1000)})

    def leaf(file: uproot.ReadOnlyDirectory) -> Leaf:
        def read(start: int, count: int) -> bytes:
            return path.read_bytes()[start : start + count]

        return Leaf(file["tree"]["x"], "x", str(path), BasketCache(MIB), read)

    with uproot.open(path) as file:
        assert leaf(file).numbers(999).tolist() == [999]
        start = int(file["tree"]["x"].member("fBasketSeek")[0])
    inflate(path, start)
    wanted = r"numbers\.root: basket 0 of x claims 2,147 MB"
    with uproot.open(path) as file, memory_limited(256 * MIB), pytest.raises(UserError, match=wanted):
        leaf(file).numbers(999)


@pytest.mark.parametrize(
    ("first", "places", "message"),
    [
        ([0, 10, 20], [(100, 50), (150, 51)], "basket 1 of x claims 51 bytes from byte 150 on, but the file has 200"),
        ([0, 10], [(100, -5)], "basket 0 of x claims -5 bytes"),
        ([0, 10**10], [(100, 50)], "basket 0 of x with 10,000,000,000 entries claims 10,000 MB"),
        ([0, 10, 10**10], [(100, 50)], "the tree of x with 9,999,999,990 entries"),
    ],
)
def test_tables_of_baskets(first: list[int], places: list[tuple[int, int]], message: str) -> None:
    check_root_baskets("a.root", "x", [0, 10, 20], [(100, 50), (150, 50)], 200)
    check_root_baskets("a.root", "x", [0, 10**6], [(100, 50)], 200)  # bytes that are all alike pack well
    with pytest.raises(UserError, match=message):
        check_root_baskets("a.root", "x", first, places, 200)


@pytest.mark.parametrize(
    ("name", "use"), [("pic_run1_ev1", lambda frames: None), ("pic_run1_ev2", lambda frames: frames.read(1))]
)
def test_a_camera_frame_that_claims_gigabytes(tmp_path: Path, name: str, use: Callable[..., object]) -> None:
    path = tmp_path / "frames.root"
    with uproot.recreate(path) as file:
        for event in (1, 2):
            file[f"pic_run1_ev{event}"] = np.histogram2d(*np.random.default_rng(event).random((2, 99)), bins=(8, 6))
    assert open_frames(str(path)).read(1).shape == (6, 8)
    inflate(path, span(path, name).start)
    with memory_limited(256 * MIB), pytest.raises(UserError, match=rf"frames\.root: {name} claims 2,147 MB"):
        use(open_frames(str(path)))
