"""Clusters of pixels: DBSCAN with weights, growth along a line, and the cluster table."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.cluster import dbscan
from lartpc_sparse.cluster.directional import DirectionalConfig, grow_directional
from lartpc_sparse.cluster.pixels import (
    CLUSTER_COLUMNS,
    ConnectedPixelsConfig,
    DbscanPixelsConfig,
    PixelClusteringConfig,
    cluster_table,
    footprints,
)


@given(st.integers(0, 10_000))
def test_weighted_cityblock_dbscan_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 15, (40, 2)), axis=0).astype(np.int32)
    intensity = rng.uniform(0, 9, len(coords)).astype(np.float32)
    labels = DbscanPixelsConfig(eps=3, min_samples=12).find(coords, intensity)
    weight = np.maximum(np.floor(intensity), 1)
    near = np.abs(coords[:, None] - coords[None]).sum(axis=2) <= 3
    core = (near * weight).sum(axis=1) >= 12
    assert ((labels >= 0) == (near & core).any(axis=1)).all()
    for one in np.flatnonzero(core):
        same = near[one] & core
        assert len(set(labels[same])) == 1


def test_weights_must_fit() -> None:
    with pytest.raises(ValueError, match="weights have shape"):
        dbscan(np.zeros((3, 2), dtype=np.int64), 1.0, 1, weights=np.ones(2))


def line(length: int, gap: range, slope: float = 0.5) -> np.ndarray:
    along = [t for t in range(length) if t not in gap]
    return np.array([(10 + round(slope * t), 10 + t) for t in along], dtype=np.int32)


def test_a_track_grows_over_a_gap_along_its_line_and_nothing_else_joins() -> None:
    track = line(60, range(40, 50))
    aside = np.array([[50, 12], [51, 12]], dtype=np.int32)
    coords = np.concatenate([track, aside])
    labels = np.full(len(coords), -1, dtype=np.int64)
    labels[:40], labels[40:50] = 0, 1  # before and behind the gap
    weight = np.ones(len(coords), dtype=np.float32)
    found = grow_directional(coords, weight, labels, DirectionalConfig(radius=15))
    assert set(found[:50]) == {0}
    assert set(found[50:]) == {-1}
    near = grow_directional(coords, weight, labels, DirectionalConfig(radius=5))
    assert set(near[:40]) == {0}
    assert set(near[40:50]) == {1}


def test_a_round_cluster_has_no_line() -> None:
    disc = np.argwhere(np.hypot(*np.ogrid[-6:7, -6:7]) < 6).astype(np.int32)
    coords = np.concatenate([disc, np.array([[6, 20]], dtype=np.int32)])
    labels = np.append(np.zeros(len(disc), dtype=np.int64), -1)
    np.testing.assert_array_equal(
        grow_directional(coords, np.ones(len(coords), dtype=np.float32), labels, DirectionalConfig()), labels
    )


def grid(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    coords = np.argwhere(np.ones(size)).astype(np.int32)
    return coords, np.random.default_rng(seed).normal(2, 1, len(coords)).astype(np.float32)


def test_the_table_of_a_bar() -> None:
    coords, values = grid((20, 30))
    labels = np.full(len(coords), -1, dtype=np.int64)
    bar = (coords[:, 0] >= 8) & (coords[:, 0] < 10) & (coords[:, 1] >= 5) & (coords[:, 1] < 25)
    labels[bar] = 0
    values[bar] = 3.0
    table = cluster_table(coords, values, labels, PixelClusteringConfig(binning=4), (20, 30))
    assert set(table) == set(CLUSTER_COLUMNS)
    row = {name: float(column[0]) for name, column in table.items()}
    assert row["integral"] == pytest.approx(40 * 3 * 16)
    assert row["size"] == 40 * 16
    assert row["n_hits"] == 40
    assert (row["length"], row["width"]) == (pytest.approx(80), pytest.approx(8))
    assert row["theta"] == pytest.approx(0, abs=1e-6)
    assert row["rms"] == pytest.approx(0, abs=1e-6)
    assert (row["x_mean"], row["y_mean"]) == (pytest.approx(60), pytest.approx(36))
    assert [row[name] for name in ("x_min", "x_max", "y_min", "y_max")] == [20, 100, 32, 40]


def test_rings_belong_to_the_integral_and_not_to_the_shape() -> None:
    coords, values = grid((12, 12), 3)
    labels = np.full(len(coords), -1, dtype=np.int64)
    labels[5 * 12 + 5] = 0
    tables = [cluster_table(coords, values, labels, PixelClusteringConfig(grow=g, binning=1), (12, 12)) for g in (0, 2)]
    image = values.reshape(12, 12)
    assert tables[0]["integral"][0] == pytest.approx(image[5, 5])
    assert tables[1]["integral"][0] == pytest.approx(image[3:8, 3:8].sum(), rel=1e-5)
    assert tables[0]["length"][0] == tables[1]["length"][0] == 1
    assert (footprints(coords, labels, 2, (12, 12)) >= 0).sum() == 25


def test_the_angle_of_a_diagonal() -> None:
    coords = np.array([(t, t) for t in range(10)], dtype=np.int32)
    table = cluster_table(
        coords, np.ones(10, np.float32), np.zeros(10, np.int64), PixelClusteringConfig(binning=1), (10, 10)
    )
    assert table["theta"][0] == pytest.approx(np.pi / 4)
    assert table["length"][0] == pytest.approx(9 * np.sqrt(2) + 1)


@given(st.integers(0, 2**32 - 1))
def test_length_is_along_theta_and_not_below_width(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 8, (12, 2)), axis=0).astype(np.int32)
    values = rng.uniform(0.1, 9, len(coords)).astype(np.float32)
    config = PixelClusteringConfig(binning=4)
    table = cluster_table(coords, values, np.zeros(len(coords), np.int64), config, (8, 8))
    row = {name: float(column[0]) for name, column in table.items()}
    assert row["length"] >= row["width"]
    assert abs(row["theta"]) <= np.pi / 2 + 1e-6
    along = coords[:, 1] * np.cos(row["theta"]) + coords[:, 0] * np.sin(row["theta"])
    assert row["length"] == pytest.approx(4 * np.ptp(along) + 4, rel=1e-4)


def test_small_and_faint_clusters_are_dropped_and_numbers_have_no_gaps() -> None:
    coords = np.array([[0, 0], [5, 5], [5, 6], [9, 9], [9, 10]], dtype=np.int32)
    intensity = np.array([9, 1, 1, 5, 5], dtype=np.float32)
    config = PixelClusteringConfig(method=ConnectedPixelsConfig(), min_pixels=2, min_intensity=4)
    assert config.find(coords, intensity).tolist() == [-1, -1, -1, 0, 0]


def test_no_pixels() -> None:
    nothing = np.zeros((0, 2), dtype=np.int32)
    empty = np.zeros(0, dtype=np.float32)
    for method in (ConnectedPixelsConfig(), DbscanPixelsConfig()):
        labels = PixelClusteringConfig(method=method, directional=DirectionalConfig()).find(nothing, empty)
        assert labels.shape == (0,)
    table = cluster_table(nothing, empty, np.zeros(0, np.int64), PixelClusteringConfig(), (4, 4))
    assert all(len(column) == 0 for column in table.values())


def test_an_image_of_too_many_pixels_gets_no_cluster_and_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("lartpc_sparse"), "propagate", True)  # a chain has turned it off
    coords = np.argwhere(np.ones((4, 4))).astype(np.int32)
    config = PixelClusteringConfig(method=ConnectedPixelsConfig(), max_pixels=15)
    with caplog.at_level("WARNING", logger="lartpc_sparse"):
        assert config.find(coords, np.ones(16, dtype=np.float32)).tolist() == [-1] * 16
    assert "16 pixels" in caplog.text
    assert config.find(coords[:15], np.ones(15, dtype=np.float32)).tolist() == [0] * 15


def test_a_number_without_a_pixel_has_a_row_of_zeros() -> None:
    coords = np.array([[0, 0], [0, 1], [3, 3]], dtype=np.int32)
    values = np.ones(3, dtype=np.float32)
    table = cluster_table(coords, values, np.array([0, 0, 2]), PixelClusteringConfig(binning=1), (4, 4))
    assert table["size"].tolist() == [2, 0, 1]
    assert table["integral"].tolist() == [2, 0, 1]
    assert table["length"].tolist()[1] == 0
