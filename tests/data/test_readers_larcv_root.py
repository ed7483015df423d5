"""larcv2 files: samples written by larcv2 itself, and made files for what those do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from larcv_checks import SPLIT, check_event
from larcv_files import (
    cluster3d_tree,
    empty_event,
    image2d_tree,
    made_event,
    sparse2d_tree,
    sparse3d_tree,
    write_root,
    write_trees,
)
from reader_contract import ReaderContract

from lartpc_sparse.data.classes import FIVE, LARCV_SHAPES
from lartpc_sparse.data.readers import LarcvRootConfig
from lartpc_sparse.data.readers.larcv_products import choose_products
from lartpc_sparse.data.readers.larcv_root_file import RootFile
from lartpc_sparse.data.readers.root_basket import BasketCache
from lartpc_sparse.schema import BadEventError, UserError


def config(*paths: Path | str, **options: Any) -> LarcvRootConfig:
    return LarcvRootConfig(files=tuple(map(str, paths)), **options)


class TestLarcvRootReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> LarcvRootConfig:
        paths = folder / "0.root", folder / "1.root"
        for number, path in enumerate(paths):
            if not path.exists():
                events = [made_event(10 * number + i) for i in range(3)]
                write_root(path, [events[0], empty_event(99), *events[1:]], events_per_basket=3)
        return config(*paths, **options)


@pytest.mark.parametrize("catch_all", [True, False])
@pytest.mark.parametrize("events_per_basket", [1, 2, 7])
def test_every_voxel_and_label(tmp_path: Path, events_per_basket: int, catch_all: bool) -> None:
    made = [made_event(i, clusters=i, catch_all=catch_all) for i in range(7)]
    reader = config(write_root(tmp_path / "a.root", made, events_per_basket=events_per_basket)).build()
    for index in (6, 0, 3, 3, 5, 1, 2, 4):
        check_event(reader.read(index), made[index])
        assert reader.event_id(index) == (1, 0, index)
    assert reader.num_voxels().tolist() == [len(event.coords) for event in made]


def test_sample_written_by_larcv2(shared_data: Path) -> None:
    path = shared_data / "formats" / "larcv2_sparse3d_cluster3d_particle.root"
    reader = config(path).build()
    assert (len(reader), reader.image_size, reader.classes) == (5, (768, 768, 768), SPLIT)
    assert reader.num_voxels().tolist() == [2246, 1112, 1156, 1196, 690]
    with uproot.open(path) as file:
        tree = file["sparse3d_pcluster_tree"]
        values, ids = (tree[f"_voxel_v._{name}"].array(library="np") for name in ("value", "id"))
    sets = [[262, 342, 241, 322, 380, 317, 382], [22, 101, 173, 302, 160, 354], [124, 53, 309, 270, 339, 61]]
    for index in range(5):
        event = reader.read(index)
        np.testing.assert_array_equal(event.energy, values[index])
        x, y, z = event.coords.astype(np.uint64).T
        np.testing.assert_array_equal(x + 768 * y + 768 * 768 * z, ids[index])
        if index < 3:  # no two sets overlap there
            assert np.bincount(event.labels["fragment"]).tolist() == sets[index]
        stored = np.arange(len(event)) % 5  # the class product counts 0, 1, ... 4
        shown = np.array([SPLIT.index(name) for name in ("shower", "MIP", "Michel", "delta", "low_energy")])
        np.testing.assert_array_equal(event.labels["semantic"], shown[stored])
        assert set(event.particles["pdg"]) == {13}
        assert event.particles["energy_init"].tolist() == [100.0 + i for i in range(len(event.particles["pdg"]))]
        assert np.isnan(event.particles["vtx_x"]).all()
        assert (event.labels["interaction"] == -1).all()


def test_sample_image2d_of_2018(shared_data: Path) -> None:
    path = shared_data / "formats" / "larcv2_image2d_electron.root"
    with uproot.open(path) as file:
        images = file["image2d_data_tree/image2d_data_branch/_image_v/_image_v._img"].array(library="np")
    for plane in range(3):
        reader = config(path, projection=plane).build()  # the only kind of image in the file
        assert (len(reader), reader.image_size, reader.classes) == (10, (256, 256), ())
        assert reader.num_voxels().tolist() == [int((np.array(i[plane].tolist()) > 0).sum()) for i in images]
        for index in (0, 4, 9):
            event = reader.read(index)
            pixels = np.array(images[index][plane].tolist()).reshape(256, 256)  # column, row
            assert len(event) == (pixels > 0).sum() == reader.num_voxels()[index]
            np.testing.assert_array_equal(event.energy, pixels[tuple(event.coords.T)])
            assert event.particles["pdg"].tolist() == [11]
    high = config(path, image="image2d", threshold=50.0).build().read(0)
    assert (high.energy > 50).all()
    assert len(high) == (np.array(images[0][0].tolist()) > 50).sum()


def test_planes_of_sparse2d(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = [[rng.uniform(0, 2, (7, 5)) * (rng.random((7, 5)) < 0.3) for _ in range(2)] for _ in range(4)]
    path = write_trees(tmp_path / "a.root", {"sparse2d_wire_tree": sparse2d_tree(images, ids=(2, 0))})
    for position, projection in ((1, 0), (0, 2)):
        reader = config(path, image="sparse2d", projection=projection).build()
        assert reader.image_size == (7, 5)
        for index, planes in enumerate(images):
            event = reader.read(index)
            dense = np.zeros((7, 5), dtype=np.float32)
            dense[tuple(event.coords.T)] = event.energy
            np.testing.assert_array_equal(dense, planes[position].astype(np.float32))
    with pytest.raises(UserError, match=r"entry 0: sparse2d_wire has the planes \[2, 0\], and 0"):
        config(path, image="sparse2d", projection=1).build()


def test_classes_of_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    charge = [[rng.uniform(-1, 1, (6, 4))] for _ in range(2)]
    classes = [[rng.integers(0, 3, (6, 4)).astype(float)] for _ in range(2)]
    trees = {"image2d_data_tree": image2d_tree(charge), "image2d_segment_tree": image2d_tree(classes)}
    path = write_trees(tmp_path / "a.root", trees)
    reader = config(path, image="image2d", classes=("nothing", "shower", "track")).build()
    event = reader.read(1)
    assert (event.energy > 0).all()
    np.testing.assert_array_equal(event.labels["semantic"], classes[1][0][tuple(event.coords.T)])
    assert event.classes == ("nothing", "shower", "track")


def test_old_files_have_fewer_leaves_and_products(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    trees = {"sparse3d_data_tree": sparse3d_tree(made, [event.values for event in made])}
    classes = [event.semantic for event in made]
    trees["sparse3d_fivetypes_tree"] = sparse3d_tree(made, classes)
    reader = config(write_trees(tmp_path / "a.root", trees)).build()
    event = reader.read(1)
    assert (reader.classes, event.labels.keys(), event.particles) == (FIVE, {"semantic"}, {})
    assert config(tmp_path / "a.root", semantic=None).build().read(0).labels == {}
    for event in made:
        event.particles = {"pdg": event.particles["pdg"]}
    reader = config(write_root(tmp_path / "b.root", made)).build()
    assert reader.read(0).labels.keys() == {"semantic", "instance", "fragment", "pid"}
    assert reader.read(0).particles.keys() == {"pdg", "pid"}
    without = config(tmp_path / "b.root", particles=None).build()
    assert (without.classes, without.read(0).labels.keys()) == (LARCV_SHAPES, {"semantic", "instance", "fragment"})


def test_clusters_alone_are_an_image(tmp_path: Path) -> None:
    made = [made_event(i, clusters=3) for i in range(3)]
    reader = config(write_trees(tmp_path / "a.root", {"cluster3d_a_tree": cluster3d_tree(made)}), image="cluster3d")
    for index, event in enumerate(map(reader.build().read, range(3))):
        members = [tuple(c) for part in made[index].sets for c in part.tolist()]
        found = dict(zip(map(tuple, event.coords.tolist()), event.energy.tolist(), strict=True))
        assert found == {place: float(members.count(place)) for place in members}


def test_products_are_named_or_the_only_one(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    values = [event.values for event in made]
    trees = {f"sparse3d_{name}_tree": sparse3d_tree(made, values) for name in ("one", "two", "one_semantics")}
    path = write_trees(tmp_path / "a.root", trees)
    with pytest.raises(UserError, match=r"2 products fit `energy`: sparse3d_one, sparse3d_two; name one of them"):
        config(path).build()
    for name in ("one", "sparse3d_one"):
        products = config(path, energy=name).build().products
        assert (products.energy, products.semantic) == ("sparse3d_one", "sparse3d_one_semantics")
    listed = "the file holds sparse3d_one, sparse3d_one_semantics, sparse3d_two"
    with pytest.raises(UserError, match=rf"no product sparse3d_three \(`energy: three`\); {listed}"):
        config(path, energy="three").build()
    with pytest.raises(UserError, match=rf"no product cluster3d_a \(`clusters: a`\); {listed}"):
        config(path, energy="one", clusters="a").build()
    with pytest.raises(UserError, match=rf"holds no image2d product for `energy`; {listed}"):
        config(path, image="image2d").build()


def test_the_only_kind_of_image_is_taken(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    rng = np.random.default_rng(3)
    images = [[rng.uniform(0, 1, (6, 4))] for _ in range(2)]
    trees = {
        "image2d_wire_tree": image2d_tree(images),
        "sparse2d_wire_tree": sparse2d_tree(images, ids=(0,)),
        "cluster3d_mc_tree": cluster3d_tree(made),
        "sparse3d_mc_tree": sparse3d_tree(made, [event.values for event in made]),
        "sparse3d_mc_label_tree": sparse3d_tree(made, [event.semantic for event in made]),
    }

    def chosen(*kinds: str, **options: Any) -> str:
        path = tmp_path / f"{'_'.join(kinds)}.root"
        held = {name: tree for name, tree in trees.items() if name.removesuffix("_tree") in kinds}
        reader = config(write_trees(path, held), **options).build()
        assert [len(reader.read(index)) for index in range(2)] == reader.num_voxels().tolist()
        return reader.products.energy

    assert chosen("image2d_wire") == "image2d_wire"
    assert chosen("sparse2d_wire") == "sparse2d_wire"
    assert chosen("cluster3d_mc") == "cluster3d_mc"
    everything = ("image2d_wire", "sparse2d_wire", "cluster3d_mc", "sparse3d_mc", "sparse3d_mc_label")
    assert chosen(*everything) == "sparse3d_mc"
    assert chosen(*everything, energy="sparse2d_wire") == "sparse2d_wire"
    with pytest.raises(UserError, match=r"images of 2 kinds; set `image` to sparse2d or image2d\. In all the file ho"):
        chosen("image2d_wire", "sparse2d_wire")
    assert choose(("cluster3d_mc", "sparse3d_mc_label")) == ("cluster3d_mc", "sparse3d_mc_label")
    with pytest.raises(UserError, match=r"no product for `energy` .*the file holds particle_mc"):
        choose(("particle_mc",))


def choose(available: tuple[str, ...]) -> tuple[str, str | None]:
    found = choose_products(
        available, "a.root", "auto", energy="auto", semantic="auto", clusters="auto", particles="auto"
    )
    return found.energy, found.semantic


def test_a_later_file_without_a_product_is_refused(tmp_path: Path) -> None:
    made = [made_event(1), made_event(2)]
    whole = write_root(tmp_path / "a.root", made)
    part = write_root(tmp_path / "b.root", made, leave_out=["cluster3d_pcluster_tree"])
    with pytest.raises(UserError, match=r"b\.root has no cluster3d_pcluster, unlike the first file; it holds particle"):
        config(whole, part).build()
    assert len(config(whole, part, clusters=None).build()) == 4


def test_trees_of_different_lengths_are_refused(tmp_path: Path) -> None:
    made = [made_event(1), made_event(2)]
    trees = {
        "sparse3d_a_tree": sparse3d_tree(made, [event.values for event in made]),
        "cluster3d_a_tree": cluster3d_tree(made[:1]),
    }
    with pytest.raises(UserError, match=r"products of different numbers of events .*'cluster3d_a': 1"):
        config(write_trees(tmp_path / "a.root", trees)).build().read(0)


def test_products_of_different_events_are_refused(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(3)]
    trees = {
        "sparse3d_a_tree": sparse3d_tree(made, [event.values for event in made]),
        "cluster3d_a_tree": cluster3d_tree([made[0], made[2], made[1]]),
    }
    reader = config(write_trees(tmp_path / "a.root", trees)).build()
    assert len(reader.read(0)) == len(made[0].coords)
    with pytest.raises(BadEventError, match=r"a\.root entry 1: the products are of different events"):
        reader.read(1)


def test_an_event_of_another_size_is_refused(tmp_path: Path) -> None:
    made = [empty_event(0, (3, 3, 3)), made_event(1), made_event(2, size=(20, 12, 10))]
    for name in ("_meta._xnum", "_meta._ynum", "_meta._znum"):
        made[0].meta[name] = np.uint64(2**64 - 1)  # as larcv leaves it when nobody sets the meta
    reader = config(write_root(tmp_path / "a.root", made)).build()
    assert reader.image_size == made[1].size
    assert len(reader.read(0)) == 0
    check_event(reader.read(1), made[1])
    with pytest.raises(BadEventError, match=r"entry 2: sparse3d_pcluster has an image of size \(20, 12, 10\)"):
        reader.read(2)


def test_damage_inside_the_voxel_sets_is_named(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    trees = {
        "sparse3d_a_tree": sparse3d_tree(made, [event.values for event in made]),
        "cluster3d_a_tree": cluster3d_tree(made),
    }
    trees["cluster3d_a_tree"]["_voxel_vv._voxel_v"][1][13] = 0x7F
    reader = config(write_trees(tmp_path / "a.root", trees)).build()
    with pytest.raises(BadEventError, match=r"a\.root entry 1: cannot read cluster3d_a _voxel_vv\._voxel_v \(vector 0"):
        reader.read(1)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_bytes(b"no such thing")
    with pytest.raises(UserError, match=r"a\.root cannot be opened as ROOT"):
        config(tmp_path / "a.root").build()
    write_trees(tmp_path / "b.root", {"events": {"x": np.arange(3)}})
    with pytest.raises(UserError, match="the file holds no larcv products"):
        config(tmp_path / "b.root").build()
    write_root(tmp_path / "c.root", [empty_event(0)])
    with uproot.recreate(tmp_path / "d.root") as file:
        file.mktree("sparse3d_a_tree", {"x": "int32"})
    with pytest.raises(UserError, match=r"d\.root: no event of sparse3d_a"):
        config(tmp_path / "d.root").build()


def test_memory_stays_within_its_bound(tmp_path: Path) -> None:
    path = write_root(tmp_path / "a.root", [made_event(i) for i in range(20)], events_per_basket=1)
    cache = BasketCache(5000)
    file = RootFile(str(path), cache=cache, projection=0, threshold=0.0)
    reader = config(path).build()
    for _ in range(2):
        for index in range(20):
            voxels = file.voxels("sparse3d_pcluster", reader.key(index))
            assert len(voxels.ids) == len(reader.read(index))
            assert cache.num_bytes <= 5000
    file.close()
    assert cache.num_bytes == 0
