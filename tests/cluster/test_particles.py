"""Clusters to particles: geometry against brute force, and made events whose particles are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lartpc_sparse.cluster.particles import BuildConfig, build_particles
from lartpc_sparse.cluster.particles.clusters import Clusters
from lartpc_sparse.cluster.particles.shape import direction_at, find_shapes
from lartpc_sparse.cluster.particles.stopping_power import (
    MUON_MASS_MEV,
    PROTON_MASS_MEV,
    bethe,
    dedx_at_range,
)

CLASSES = ("shower", "track", "Michel", "delta")
CONFIG = BuildConfig()


def line(start, direction, steps):
    """Voxels along a straight line, each once."""
    unit = np.array(direction) / np.linalg.norm(direction)
    points = np.floor(np.array(start) + 0.5 + np.arange(0, steps, 0.5)[:, None] * unit).astype(np.int32)
    return points[np.sort(np.unique(points, axis=0, return_index=True)[1])]


def event(*parts):
    """Arrays of (coords, class name, energy of each voxel), one cluster a part."""
    coords = np.concatenate([part[0] for part in parts])
    energy = np.concatenate([np.broadcast_to(np.asarray(part[2], float), len(part[0])) for part in parts])
    cluster = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    kind = np.repeat([CLASSES.index(part[1]) for part in parts], [len(part[0]) for part in parts])
    return coords, energy, cluster, kind


def build(arrays, config=CONFIG):
    coords, energy, cluster, kind = arrays
    return build_particles(
        coords.astype(np.int32), energy.astype(np.float32), cluster, kind, classes=CLASSES, config=config
    )


@given(st.integers(0, 40), st.integers(2, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_clusters_against_loops(count, dim, seed):
    rng = np.random.default_rng(seed)
    label, coords, values = rng.integers(-1, 5, count), rng.integers(0, 700, (count, dim)), rng.integers(0, 9, count)
    found = Clusters.of(label)
    assert found.ids.tolist() == sorted(set(label[label >= 0].tolist()))
    place = coords[found.rows].astype(np.float64)
    points = rng.uniform(0, 700, (7, dim))
    near = found.nearest(points, place)
    sums, largest = found.total(values[found.rows]), found.largest(values[found.rows])
    for number, own in enumerate(found.ids):
        rows = np.flatnonzero(label == own)
        assert sums[number] == values[rows].sum()
        assert found.rows[largest[number]] == rows[values[rows].argmax()]
        np.testing.assert_allclose(near[:, number], cdist(points, coords[rows]).min(axis=1), atol=0.05)


def test_axis_and_direction_against_the_singular_value_decomposition():
    rng = np.random.default_rng(3)
    label = np.repeat([0, 1], 40)
    place = rng.normal(size=(80, 3)) * [9, 2, 1] + 50
    clusters = Clusters.of(label)
    shapes = find_shapes(clusters, place, np.ones(80))
    start = np.stack([place[:40].min(0), place[40:].min(0)])
    direction = direction_at(clusters, shapes, start, 1e9)
    for number in range(2):
        own = place[label == number]
        axis = np.linalg.svd(own - own.mean(0))[2][0]
        assert abs(shapes.axis[number] @ axis) == pytest.approx(1)
        assert direction[number] @ (own.mean(0) - start[number]) > 0
        assert abs(direction[number] @ axis) == pytest.approx(1)


def test_the_bethe_formula_at_known_values():
    muon = bethe(np.geomspace(20, 2000, 200), MUON_MASS_MEV)
    assert muon.min() == pytest.approx(2.105, rel=0.04)  # PDG: 1.508 MeV cm2/g in argon, with the density correction
    assert muon[0] > muon.min()
    protons = np.arange(1.0, 100.0)
    steps = dedx_at_range(np.array([3.8]), PROTON_MASS_MEV, 7.6) * 7.6
    assert steps[0] == pytest.approx(100, rel=0.05)  # PSTAR: a proton of 100 MeV goes 10.6 g/cm2 in argon
    assert (np.diff(dedx_at_range(protons, PROTON_MASS_MEV, 0.5)) < 0).all()


def test_fragments_ahead_are_of_the_shower_and_one_of_much_energy_aside_is_not():
    stem = (line((100, 100, 100), (1, 0, 0), 40), "shower", 3.0)
    ahead = (line((170, 103, 100), (1, 1, 0), 12), "shower", 1.0)
    behind_it = (line((230, 100, 110), (1, 0, 0), 12), "shower", 0.5)
    aside = (line((120, 160, 100), (0, 1, 0), 25), "shower", 3.0)
    arrays = event(stem, ahead, behind_it, aside)
    found = build(arrays)
    assert found.table.fragments.tolist() == [3, 1]
    assert np.unique(found.of_voxel[arrays[2] < 3]).tolist() == [0]
    assert found.table.energy[0] == pytest.approx(arrays[1][arrays[2] < 3].sum())
    np.testing.assert_allclose(found.table.start[0], [100.5] * 3)
    np.testing.assert_allclose(found.table.direction[0], [1, 0, 0], atol=1e-6)
    assert found.table.end[0, 0] > 230
    assert np.isnan(found.table.proton_score[0])
    apart = build(arrays, CONFIG.model_copy(update={"showers": None}))
    assert apart.table.fragments.tolist() == [1] * 4


def test_equal_energies_do_not_make_a_circle():
    parts = [(line((100 + 50 * i, 100, 100), (1, 0, 0), 20), "shower", 1.0) for i in range(4)]
    assert build(event(*parts)).table.fragments.tolist() == [4]


def track(mass, cm, start=(100, 100, 100)):
    """A stopping particle along x with the template's energy in each voxel of 3 mm."""
    voxels = line(start, (1, 0, 0), cm / 0.3)
    residual = (np.arange(len(voxels))[::-1] + 0.5) * 0.3
    return voxels, "track", dedx_at_range(residual, mass, 0.3) * 0.3


def test_protons_and_muons_that_stop():
    proton, muon = track(PROTON_MASS_MEV, 20), track(MUON_MASS_MEV, 20, (100, 300, 300))
    table = build(event(proton, muon)).table
    assert table.proton_score[0] > 0.99
    assert table.proton_score[1] < 0.01
    np.testing.assert_allclose(table.length, [len(proton[0]), len(muon[0])], rtol=0.03)
    np.testing.assert_allclose(table.start[0], [100.5] * 3)  # the energy rises towards the end
    np.testing.assert_allclose(table.direction[0], [1, 0, 0], atol=1e-6)
    assert table.energy_loss[0] == pytest.approx(proton[2].sum() / 20, rel=0.05)
    assert table.interaction.tolist() == [0, 1]


def test_a_bent_track_ends_where_it_ends():
    there, back = line((100, 100, 100), (1, 0, 0), 60), line((160, 101, 100), (-1, 1.5, 0), 60)
    table = build(event((np.concatenate([there, back]), "track", 0.6))).table
    ends = {tuple(table.start[0] // 1), tuple(table.end[0] // 1)}
    assert ends == {tuple(map(float, there[0])), tuple(map(float, back[-1]))}
    assert table.length[0] == pytest.approx(120, rel=0.06)


def test_a_vertex_two_tracks_a_delta_and_a_shower_that_points_back():
    first = (line((100, 100, 100), (1, 0, 0), 80), "track", 0.6)
    second = (line((100, 101, 100), (0, 1, 0), 60), "track", 0.6)
    shower = (line((60, 60, 100), (-1, -1, 0), 40), "shower", 2.0)
    delta = (line((150, 99, 101), (1, -1, 0), 6), "delta", 0.5)
    far = (line((400, 400, 400), (0, 0, 1), 50), "track", 0.6)
    table = build(event(first, second, shower, delta, far)).table
    assert table.interaction.tolist() == [0, 0, 0, 0, 1]
    assert table.parent.tolist() == [-1, -1, -1, 0, -1]
    np.testing.assert_allclose(table.start[:2], [[100.5, 100.5, 100.5], [100.5, 101.5, 100.5]])
    np.testing.assert_allclose(table.start[2], [60.5, 60.5, 100.5])
    assert table.start[3, 1] > table.end[3, 1]


@pytest.mark.parametrize("dim", [2, 3])
def test_edges(dim):
    def empty(size):
        return np.zeros((size, dim), np.int32), np.zeros(size), np.zeros(size, np.int64), np.zeros(size, np.int64)

    assert len(build(empty(0)).table) == 0
    one = build(empty(1)).table
    assert one.voxels.tolist() == [1]
    assert one.length.tolist() == [1.0]
    assert np.isnan(one.direction).all()
    coords, energy, cluster, kind = empty(3)
    nothing = build((coords, energy, cluster - 1, kind))
    assert nothing.of_voxel.tolist() == [-1] * 3
    unknown = build((coords + np.arange(3)[:, None], energy * np.nan, cluster, kind - 1))
    assert unknown.table.semantic.tolist() == [-1]
    assert unknown.table.energy.tolist() == [0.0]
    assert len(build((coords + np.arange(3)[:, None], energy, cluster, kind + 1)).table) == 1


def test_the_order_of_the_voxels_does_not_matter():
    rng = np.random.default_rng(8)
    parts = [
        (line(rng.integers(100, 400, 3), rng.normal(size=3), rng.integers(5, 60)), CLASSES[i % 4], rng.uniform(0.3, 2))
        for i in range(24)
    ]
    arrays = event(*parts)
    order = rng.permutation(len(arrays[0]))
    first, second = build(arrays), build(tuple(array[order] for array in arrays))
    np.testing.assert_array_equal(first.of_voxel[order], second.of_voxel)
    np.testing.assert_array_equal(first.table.interaction, second.table.interaction)
    np.testing.assert_allclose(first.table.energy, second.table.energy)
    np.testing.assert_allclose(first.table.length, second.table.length, rtol=0.1)


def test_small_particles_are_left_out_as_if_they_were_not_there():
    rng = np.random.default_rng(12)
    long, shower = line((100, 100, 100), (1, 0.2, 0), 60), line((100, 140, 100), (0, 1, 0.3), 30)
    ahead = line((100, 180, 112), (0, 1, 0.3), 3)  # large enough with the shower
    blips = [(rng.integers(300, 500, (1, 3)), "shower", 0.3) for _ in range(20)]
    parts = [*blips[:10], (long, "track", 0.6), (shower, "shower", 5.0), (ahead, "shower", 1.0), *blips[10:]]
    arrays = event(*parts)
    everything, found = build(arrays), build(arrays, BuildConfig(min_voxels=5))
    size = np.bincount(everything.of_voxel)
    assert (size < 5).any()
    assert everything.table.fragments.max() == 2
    expected = np.where(size[everything.of_voxel] >= 5, everything.of_voxel, -1)
    kept = np.unique(expected[expected >= 0])
    np.testing.assert_array_equal(found.of_voxel, np.where(expected >= 0, np.searchsorted(kept, expected), -1))
    assert found.table.voxels.tolist() == size[kept].tolist()
    rows = found.of_voxel >= 0
    alone = build(tuple(array[rows] for array in arrays))
    for name, column in alone.table.columns().items():
        np.testing.assert_array_equal(found.table.columns()[name], column, err_msg=name)
    assert len(build(arrays, BuildConfig(min_voxels=10_000)).table) == 0
