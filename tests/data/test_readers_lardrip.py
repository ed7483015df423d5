"""The reader of LArDRIP files: patches back to images."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, readable
from hypothesis import given, settings
from reader_contract import ReaderContract

from lartpc_sparse.data.convert import main as convert
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.readers import LardripConfig, VoxelsConfig
from lartpc_sparse.schema import BadEventError, UserError

SIDE, PARTS = 4, 3
SIZE = (SIDE * PARTS,) * 3
BOUNDS = [("patchInd", "<u4"), *((f"{axis}{end}", "<i4") for axis in "xyz" for end in ("min", "max"))]
DATA = [("imageInd", "<u4"), ("patchInd", "<u4"), ("voxx", "<i4"), ("voxy", "<i4"), ("voxz", "<i4"), ("voxq", "<f4")]


def image(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in random order and their charge."""
    rng = np.random.default_rng(seed)
    places = rng.choice(np.prod(SIZE), count, replace=False)
    return np.stack(np.unravel_index(places, SIZE), axis=1), rng.uniform(0.1, 3, count).astype(np.float32)


COUNTS = (20, 0, 1, 35, 4)


def write_lardrip(path: Path, images: list[tuple[np.ndarray, np.ndarray]], *, shuffle: bool = False) -> Path:
    patches = np.stack(np.meshgrid(*[np.arange(PARTS)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    bounds = np.zeros(len(patches), dtype=BOUNDS)
    bounds["patchInd"] = np.arange(len(patches))
    for axis, name in enumerate("xyz"):
        bounds[f"{name}min"], bounds[f"{name}max"] = patches[:, axis] * SIDE, (patches[:, axis] + 1) * SIDE
    rows = np.zeros(sum(len(charge) for _, charge in images), dtype=DATA)
    first = 0
    for number, (coords, charge) in enumerate(images):
        part = rows[first : first + len(charge)]
        part["imageInd"], part["voxq"] = number, charge
        part["patchInd"] = np.ravel_multi_index(tuple((coords // SIDE).T), (PARTS,) * 3)
        for axis, name in enumerate("xyz"):
            part[f"vox{name}"] = coords[:, axis] % SIDE
        first += len(charge)
    if shuffle:
        np.random.default_rng(0).shuffle(rows)
    with h5py.File(path, "w") as file:
        file["patchBounds"], file["patchedData"] = bounds, rows
    return path


def images(seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    return [image(seed + number, count) for number, count in enumerate(COUNTS)]


class TestLardripReader(ReaderContract):
    labels = frozenset()

    def config(self, folder: Path, **options: Any) -> LardripConfig:
        for number in range(2):
            path = folder / f"{number}.h5"
            if not path.exists():
                write_lardrip(path, images(10 * number), shuffle=bool(number))
        return LardripConfig(files=(str(folder / "*.h5"),), **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_lardrip(tmp_path / "lardrip.h5", images())


@pytest.mark.parametrize("shuffle", [False, True])
def test_voxels_are_where_the_patches_say(tmp_path: Path, shuffle: bool) -> None:
    made = images()
    path = write_lardrip(tmp_path / "a.h5", made, shuffle=shuffle)
    reader = LardripConfig(files=(str(path),), voxel_size_mm=3.8).build()
    assert (reader.image_size, reader.voxel_size_mm, reader.classes) == (SIZE, 3.8, ())
    assert detect_format(str(path)) == "lardrip"
    for index, (coords, charge) in enumerate(made):
        event = reader.read(index)
        dense, expected = np.zeros((2, *SIZE), dtype=np.float32)
        dense[tuple(event.coords.T)] = event.energy
        expected[tuple(coords.T)] = charge
        np.testing.assert_array_equal(dense, expected)


def test_converted_to_the_flat_format(tmp_path: Path, file: Path) -> None:
    assert convert([str(file), str(tmp_path / "flat.h5"), "--to", "voxels", "--check"]) == 0
    reader = VoxelsConfig(files=(str(tmp_path / "flat.h5"),)).build()
    assert reader.num_voxels().tolist() == list(COUNTS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("patchInd", 27, "entry 0: patch 27 is not in patchBounds"),
        ("voxy", SIDE, r"entry 0: voxel 2 at \[.*\] lies outside its patch"),
        ("voxz", -1, "lies outside its patch"),
        ("voxq", np.nan, "entry 0: energy of voxel 2 is nan"),
    ],
)
def test_a_bad_voxel_is_a_bad_event(file: Path, column: str, value: float, message: str) -> None:
    with h5py.File(file, "a") as opened:
        rows = opened["patchedData"][:]
        rows[column][2] = value
        opened["patchedData"][:] = rows
    reader = LardripConfig(files=(str(file),)).build()
    with pytest.raises(BadEventError, match=message):
        reader.read(0)
    reader.read(3)


def test_files_of_other_layouts_are_refused(file: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as opened:
        opened["patchedData"] = np.zeros(3)
    with pytest.raises(UserError, match=r"other\.h5 has no table `patchedData` with the columns imageInd"):
        LardripConfig(files=(str(tmp_path / "other.h5"),)).build()
    with h5py.File(file, "a") as opened:
        bounds = opened["patchBounds"][:]
        bounds["xmax"][3] = 0
        opened["patchBounds"][:] = bounds
    with pytest.raises(UserError, match="patches without voxels"):
        LardripConfig(files=(str(file),)).build()


@functools.cache
def sound_bytes(path: Path) -> bytes:
    return write_lardrip(path, images()).read_bytes()


@settings(max_examples=50)
@given(damage=damages())
def test_damaged_copies_give_errors_or_events(damage: Damage, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The format has no checksums: damaged values can go unnoticed, damaged structure cannot."""
    folder = tmp_path_factory.getbasetemp()
    bad = folder / "bad_lardrip.h5"
    bad.write_bytes(damage.of(sound_bytes(folder / "good_lardrip.h5")))
    for event in readable(LardripConfig(files=(str(bad),))):
        assert np.isfinite(event.energy).all()
        assert ((event.coords >= 0) & (event.coords < np.array(event.image_size))).all()


def test_the_public_file(shared_data: Path) -> None:
    """836 images of 50^3 voxels in 125 patches of 10^3, 104,937 voxels."""
    reader = LardripConfig(files=(str(shared_data / "real" / "ldrip_patched_voxEdep.h5"),)).build()
    assert (len(reader), reader.image_size) == (836, (50, 50, 50))
    events = [reader.read(index) for index in range(len(reader))]
    assert sum(len(event) for event in events) == reader.num_voxels().sum() == 104_937
    assert sum(float(event.energy.sum(dtype=np.float64)) for event in events) == pytest.approx(73_200.36, abs=0.01)
    assert sum(len(np.unique(event.coords, axis=0)) for event in events) == 104_858  # some have two deposits
