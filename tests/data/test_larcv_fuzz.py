"""Damaged larcv files: an error that names the place, or the right event; never anything else."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import Damage, damages
from hypothesis import given, settings
from larcv_files import empty_event, image2d_tree, made_event, sparse2d_tree, write_larcv3, write_root, write_trees
from test_larcv_file import rich_event, write

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import LarcvHdf5Config, LarcvRootConfig
from lartpc_sparse.schema import BadEventError, UserError


def same_content(one: Event, other: Event) -> bool:
    """Equal voxels, labels and tables; "not set" (NaN) equals itself."""
    columns = [{"coords": e.coords, "energy": e.energy, **e.labels, **e.particles} for e in (one, other)]
    return columns[0].keys() == columns[1].keys() and all(
        np.array_equal(mine, columns[1][name], equal_nan=mine.dtype.kind == "f") for name, mine in columns[0].items()
    )


def outcomes(build: Callable[[], Any], good: list[Event], where: str) -> Counter[str]:
    """What reading every event of a damaged file comes to."""
    found: Counter[str] = Counter()
    try:
        reader = build()
    except UserError as error:
        return Counter(refused=1) if where in str(error) else Counter(nameless=1)
    if len(reader) != len(good):
        return Counter(shorter=1)
    for index, event in enumerate(good):
        try:
            found["same" if same_content(reader.read(index), event) else "other"] += 1
        except BadEventError as error:
            found["bad" if f"{where} entry {index}" in str(error) else "nameless"] += 1
        except UserError as error:
            found["refused" if where in str(error) else "nameless"] += 1
    return found


def fuzz(path: Path, config: Any, num_copies: int) -> Counter[str]:
    """Outcomes over damaged copies that hypothesis draws; an error without a place fails, with the smallest damage."""
    reader = config.build()
    good = [reader.read(index) for index in range(len(reader))]
    original, total = path.read_bytes(), Counter[str]()

    @settings(max_examples=num_copies)
    @given(damage=damages())
    def an_error_names_the_place(damage: Damage) -> None:
        path.write_bytes(damage.of(original))
        found = outcomes(config.build, good, str(path))
        assert not found["nameless"]
        total.update(found)

    an_error_names_the_place()
    path.write_bytes(original)  # reading damage has spoiled nothing for later files
    assert outcomes(config.build, good, str(path)) == Counter(same=len(good))
    return total


def test_damaged_root_files(tmp_path: Path) -> None:
    made = [made_event(1), empty_event(2), made_event(3)]
    few = ["particle_pcluster_tree", "sparse3d_pcluster_semantics_tree"]  # opening a tree takes uproot long
    path = write_root(tmp_path / "a.root", made, events_per_basket=1, leave_out=few)
    total = fuzz(path, LarcvRootConfig(files=(str(path),)), 25)
    assert total["refused"] + total["bad"] > 3
    assert total["same"] > 3
    # Baskets that ROOT's packing would not make smaller are stored as they are, without a checksum.
    assert total["other"] <= 0.05 * total.total()


def test_damaged_root_files_with_all_products(tmp_path: Path) -> None:
    """Few copies: uproot opens the tree of particles, and reads its many branches, for a second."""
    path = write_root(tmp_path / "a.root", [made_event(1), empty_event(2), made_event(3)])
    total = fuzz(path, LarcvRootConfig(files=(str(path),)), 12)
    assert total["refused"] + total["bad"] > 2
    assert total["other"] <= 0.1 * total.total()


def test_damaged_planes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [[np.where(rng.random((9, 8)) < 0.2, 1 + rng.random((9, 8)), 0) for _ in range(2)] for _ in range(3)]
    path = write_trees(tmp_path / "a.root", {"sparse2d_wire_tree": sparse2d_tree(images, (2, 0))}, events_per_basket=1)
    total = fuzz(path, LarcvRootConfig(files=(str(path),), image="sparse2d", projection=2), 30)
    assert total["bad"] + total["refused"] > 4
    assert total["other"] <= 0.05 * total.total()


def test_damaged_planes_of_larcv3(tmp_path: Path) -> None:
    made = [made_event(seed, size=(16, 12)) for seed in range(3)]
    path = write_larcv3(tmp_path / "a.h5", made)
    total = fuzz(path, LarcvHdf5Config(files=(str(path),), image="sparse2d"), 40)
    assert total["refused"] + total["bad"] > 5
    assert total["other"] <= 0.05 * total.total()


def test_damaged_sample_of_larcv2(tmp_path: Path, shared_data: Path) -> None:
    path = tmp_path / "a.root"
    path.write_bytes((shared_data / "formats" / "larcv2_sparse3d_cluster3d_particle.root").read_bytes())
    total = fuzz(path, LarcvRootConfig(files=(str(path),)), 8)
    assert total["bad"] + total["refused"] > 3
    assert total["other"] <= 0.05 * total.total()


def test_damaged_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [[np.round(rng.uniform(0, 3, (9, 8))) for _ in range(2)] for _ in range(3)]
    path = write_trees(tmp_path / "a.root", {"image2d_data_tree": image2d_tree(images)}, events_per_basket=1)
    total = fuzz(path, LarcvRootConfig(files=(str(path),), image="image2d"), 40)
    assert total["bad"] + total["refused"] > 5
    assert total["other"] <= 0.02 * total.total()


def test_damaged_larcv3_files(tmp_path: Path) -> None:
    """What deflate unpacks has a checksum; HDF5's own tables of this old layout have none."""
    made = [made_event(1), empty_event(2), made_event(3), made_event(4)]
    path = write_larcv3(tmp_path / "a.h5", made)
    total = fuzz(path, LarcvHdf5Config(files=(str(path),)), 60)
    assert total["refused"] + total["bad"] > 8
    assert total["same"] > 8
    assert total["other"] <= 0.05 * total.total()


def test_damaged_files_of_our_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", [rich_event(seed, 30) for seed in range(3)])
    total = fuzz(path, LarcvHdf5Config(files=(str(path),)), 50)
    assert total["refused"] + total["bad"] > 8
    assert total["same"] > 8
    assert not total["other"]
    assert not total["shorter"]


@pytest.mark.parametrize("length", [0, 1, 50, 300, 5000])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    made = [made_event(1), made_event(3)]
    for path, kind in (
        (write_root(tmp_path / "a.root", made), LarcvRootConfig),
        (write_larcv3(tmp_path / "a.h5", made), LarcvHdf5Config),
    ):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(UserError, match=str(path)):
            kind(files=(str(path),)).build()


def test_a_basket_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    """The lengths in front of a packed basket, changed to the largest that fit."""
    made = [made_event(seed) for seed in range(3)]
    path = write_root(tmp_path / "a.root", made, events_per_basket=1)
    raw = path.read_bytes()
    config = LarcvRootConfig(files=(str(path),))
    good = [config.build().read(index) for index in range(3)]
    changed = 0
    for at in [i for i in range(len(raw) - 9) if raw[i : i + 3] == b"ZL\x08"][::5]:
        packed = int.from_bytes(raw[at + 3 : at + 6], "little")
        try:
            zlib.decompress(raw[at + 9 : at + 9 + packed])
        except zlib.error:
            continue
        bad = bytearray(raw)
        bad[at + 6 : at + 9] = b"\xff\xff\xff"
        path.write_bytes(bytes(bad))
        changed += 1
        assert not outcomes(config.build, good, str(path))["other"]
    assert changed >= 5
