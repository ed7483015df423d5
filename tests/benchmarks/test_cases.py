"""The cases: repeatable, and as crowded as the ones that earlier measurements were taken on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.cases import CASES, build_batch, load_batch, save_batch
from benchmarks.network import count_levels, forward_flop
from benchmarks.plan_curve import crowded_batch
from benchmarks.tracks import draw_tracks

STATED = [name for name, case in CASES.items() if case.gflop is not None]


@pytest.mark.parametrize("name", STATED)
def test_neighbours_and_flop_are_those_stated(name: str) -> None:
    case = CASES[name]
    counts = count_levels(build_batch(case))
    assert case.gflop is not None
    np.testing.assert_allclose(counts.neighbours, case.neighbours, rtol=0.1)
    assert forward_flop(counts) / 1e9 == pytest.approx(case.gflop, rel=0.05)


@pytest.mark.parametrize("name", ["tiny", "small", "plane"])
def test_events_are_repeatable_sorted_and_inside_the_image(name: str) -> None:
    case = CASES[name]
    tracks = case.tracks
    assert tracks is not None
    voxels = draw_tracks(tracks, seed=3)
    assert voxels.shape == (tracks.voxels, case.dim)
    np.testing.assert_array_equal(voxels, draw_tracks(tracks, seed=3))
    assert not np.array_equal(voxels, draw_tracks(tracks, seed=4))
    np.testing.assert_array_equal(voxels, np.unique(voxels, axis=0))  # sorted, no two alike
    assert voxels.min() >= 0
    assert (voxels.max(axis=0) < tracks.shape).all()


def test_tracks_are_connected_and_long() -> None:
    # Not a cloud: nearly every voxel touches another one.
    counts = count_levels(build_batch(CASES["small"]))
    sparse = dataclasses.replace(CASES["small"].tracks, charge=0.3)  # type: ignore[type-var]
    cloud = dataclasses.replace(CASES["small"], tracks=sparse)
    assert counts.neighbours[0] > 3 * count_levels(build_batch(cloud)).neighbours[0]


def test_sample_case_holds_32_events() -> None:
    batch = build_batch(CASES["sample32"])
    assert len(batch.offsets) == 33
    assert (batch.offsets.diff() > 0).all()
    event = batch.batch_coords()[:, 0]
    torch.testing.assert_close(torch.bincount(event), batch.offsets.diff())


def test_a_stored_batch_is_the_batch(tmp_path: Path) -> None:
    batch = build_batch(CASES["tiny"])
    save_batch(batch, tmp_path / "tiny.npz")
    loaded = load_batch(tmp_path / "tiny.npz")
    for name in ("coords", "offsets", "feats"):
        torch.testing.assert_close(getattr(loaded, name), getattr(batch, name), rtol=0, atol=0)
    assert loaded.shape == batch.shape


def test_larger_events_of_the_curve_are_as_crowded() -> None:
    few, many = (count_levels(crowded_batch(voxels)) for voxels in (10_000, 80_000))
    assert (few.voxels[0], many.voxels[0]) == (10_000, 80_000)
    np.testing.assert_allclose(few.neighbours[:4], many.neighbours[:4], rtol=0.1)
