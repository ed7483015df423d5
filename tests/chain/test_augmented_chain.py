"""Every augmentation and an overlay through the whole chain; predictions stay aligned with the voxels of the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.run import main

AUGMENT = """[
  {kind: dead_regions, fixed: [[[100, 103], null, null]], random: [{axes: [0], count: [0, 3], width: [1, 8]}]},
  {kind: rotate90}, {kind: flip}, {kind: translate, max_shift: 20}, {kind: jitter, probability: 0.05},
  {kind: scale_energy}, {kind: smear_energy, relative: 0.1}, {kind: random_voxel_loss}, {kind: mask, block: 24}]"""
TRANSFORMS = """[
  {kind: rotate90}, {kind: merge_duplicates}, {kind: crop, size: 192, shift_to_origin: true}, {kind: log_energy}]"""


def test_augmented_overlaid_and_cropped(small_chain: Callable[..., list[str]], tmp_path: Path) -> None:
    overlay = "data.overlay={count: [1, 1], probability: 1.0, priority: [MIP], use: [train, test]}"
    arguments = small_chain(f"data.augment={AUGMENT}", f"data.transforms={TRANSFORMS}", overlay, "train.epochs=1")
    assert main([*arguments, "--only", "train", "predict", "evaluate"]) == 0
    reader = SampleConfig(split="test", limit=3).build()
    counts = reader.num_voxels()
    with h5py.File(tmp_path / "run" / "predictions.h5") as file:
        offsets, gaps = file["offsets"][:], file["tables/gaps/offsets"][:]
        active, where = file["tables/gaps/active"][:], file["tables/gaps/coords"][:]
        coords, label = file["input/coords"][:], file["voxels/semantic/label"][:]
    found = 0
    for index in range(3):
        rows = slice(offsets[index], offsets[index + 1])
        own = reader.read(index)
        np.testing.assert_array_equal(coords[rows][: len(own)], own.coords)  # the added event follows
        assert offsets[index + 1] - offsets[index] - counts[index] in np.delete(counts, index)
        # A voxel outside of the crop has no label; those with one fit into a box of 192 voxels.
        seen = coords[rows][label[rows] >= 0]
        assert 0 < len(seen) < len(coords[rows])
        assert (np.ptp(seen, axis=0) < 192).all()
        # The voxels of the gaps that are real are voxels of the files, in spite of rotation and crop.
        real = where[gaps[index] : gaps[index + 1]][active[gaps[index] : gaps[index + 1]]]
        assert {tuple(c) for c in real.tolist()} <= {tuple(c) for c in coords[rows].tolist()}
        found += len(real)
    assert found > 0


def test_an_overlay_with_too_few_events_is_refused(
    small_chain: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_chain("data.overlay={count: [1, 9]}"), "--only", "train"]) != 0
    message = " ".join(capsys.readouterr().err.split())
    assert "up to 9 added events, but there are 5 other events" in message
