"""The packaged weights for missing regions fill slabs of the packaged test events, which they were not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.inpainting.figure import draw_curves
from benchmarks.inpainting.gaps import measure_gaps
from benchmarks.inpainting.options import parse
from lartpc_sparse.cluster.gaps import filled_event
from lartpc_sparse.data.dataset import event_rng
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.regions import SlabsConfig, box_of_voxel
from lartpc_sparse.data.transforms import rows_of
from lartpc_sparse.sparse.engines import registry
from lartpc_sparse.steps.gap_filler import NetworkFiller
from lartpc_sparse.weights import find_weights

NAME = "lardrip3d-small"


def test_they_beat_a_straight_line_and_a_reflection(tmp_path: Path) -> None:
    options = parse("test", ["gaps", "--weights", NAME, "--limit", "20", "--widths", "10", "--draws", "1"])
    widths = measure_gaps(options)
    draw_curves(widths, "all voxels", tmp_path / "curves")
    assert all((tmp_path / f"curves.{ending}").stat().st_size > 5000 for ending in ("png", "svg"))
    (found,) = widths.values()
    best = max(found["baselines"][name]["f1"] for name in ("line", "reflection"))
    assert found["f1"] > best + 0.05
    assert 0.8 < found["tracks"]["methods"]["network"]["charge"]["median"] < 1.2


def test_nothing_outside_of_a_gap_changes_and_nothing_at_all_without_one() -> None:
    reader = SampleConfig(split="test").build()
    events = [reader.read(index) for index in range(8)]
    regions = (SlabsConfig(width=(10, 10), count=(0, 1)),)
    filler = NetworkFiller(find_weights(NAME), regions, registry.choose_engine("auto", "cpu").engine, "cpu")
    filled = filler(events, [event_rng(0, 0, index, 0) for index in range(8)])
    assert {len(boxes) for boxes, _ in filled} == {0, 1}
    for event, (boxes, fill) in zip(events, filled, strict=True):
        image = filled_event(event, boxes, fill)
        outside = box_of_voxel(event.coords, boxes) < 0
        rows = rows_of(event.coords[outside], image.coords)
        assert (rows >= 0).all()
        assert image.energy[rows].tobytes() == event.energy[outside].tobytes()
        assert (box_of_voxel(fill.coords, boxes) >= 0).all()
        assert (fill.energy > 0).all()
        if not len(boxes):
            assert len(fill.coords) == 0
            np.testing.assert_array_equal(image.coords, event.coords)
