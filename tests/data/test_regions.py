"""Missing regions as geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_events import random_event
from pydantic import TypeAdapter, ValidationError

from lartpc_sparse.data.regions import DetectorGapsConfig, RegionField, box_of_voxel, geometry_names
from lartpc_sparse.schema import UserError

REGION: TypeAdapter[object] = TypeAdapter(RegionField)
KINDS = {
    2: [
        {"kind": "boxes", "size": [4, 3]},
        {"kind": "slabs", "width": [1, 20]},
        {"kind": "slabs", "width": [2, 3], "place": "anywhere", "axes": [1], "count": [0, 3]},
        {"kind": "dead_channels", "drift_axis": 1, "count": [1, 3]},
        {"kind": "chips", "drift_axis": 1, "size": 5},
    ],
    3: [
        {"kind": "boxes", "size": 5, "count": [1, 3]},
        {"kind": "slabs", "width": [1, 6], "axes": [0, 2]},
        {"kind": "dead_channels", "drift_axis": 0, "width": [1, 2]},
        {"kind": "chips", "drift_axis": 0, "size": 5, "origin": 2, "count": [1, 5]},
        {"kind": "detector_gaps", "voxel_mm": 50.0},
        {"kind": "detector_gaps", "geometry": "nd_lar", "voxel_mm": 100.0, "shift": "centred"},
    ],
}


def boxes_of(region: dict[str, object], seed: int, size: tuple[int, ...], n: int = 30) -> np.ndarray:
    event = random_event(seed, n, size)
    found: np.ndarray = REGION.validate_python(region).boxes(event.coords, size, np.random.default_rng(seed))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(("dim", "region"), [(dim, region) for dim, some in KINDS.items() for region in some])
@given(seed=st.integers(0, 200))
def test_boxes_lie_inside_and_repeat(dim: int, region: dict[str, object], seed: int) -> None:
    size = (16, 12, 14)[:dim]
    found = boxes_of(region, seed, size)
    assert found.shape[1:] == (2, dim)
    assert (found[:, 0] >= 0).all()
    assert (found[:, 1] <= size).all()
    assert (found[:, 1] > found[:, 0]).all()
    np.testing.assert_array_equal(found, boxes_of(region, seed, size))


@pytest.mark.parametrize(("dim", "region"), [(dim, region) for dim, some in KINDS.items() for region in some])
def test_an_empty_event_has_regions_or_none(dim: int, region: dict[str, object]) -> None:
    found = boxes_of(region, 0, (16, 12, 14)[:dim], 0)
    assert found.shape[1:] == (2, dim)


@given(st.integers(0, 300), st.integers(1, 6))
def test_a_drawn_slab_holds_a_voxel_and_has_its_width(seed: int, width: int) -> None:
    event = random_event(seed, 5)
    ((low, high),) = boxes_of({"kind": "slabs", "width": [width, width]}, seed, event.image_size, 5)
    thickness = sorted((high - low).tolist())
    assert thickness == sorted([width, 16, 16])
    assert (box_of_voxel(event.coords, np.array([[low, high]])) == 0).any()


def test_dead_wires_of_a_plane_are_columns() -> None:
    found = boxes_of({"kind": "dead_channels", "drift_axis": 1, "fixed": [[[3, 4]], [[7, 7]]]}, 0, (16, 12))
    assert found.tolist() == [[[3, 0], [5, 12]], [[7, 0], [8, 12]]]


def test_chips_lie_on_their_grid() -> None:
    found = boxes_of({"kind": "chips", "size": 4, "origin": 1, "fixed": [[0, 2]]}, 0, (16, 16, 16))
    assert found.tolist() == [[[0, 1, 9], [16, 5, 13]]]
    drawn = boxes_of({"kind": "chips", "size": 4, "count": [3, 3]}, 1, (16, 16, 16))
    assert (drawn[:, 0, 1:] % 4 == 0).all()


def test_fixed_slabs_and_boxes() -> None:
    slab = {"kind": "slabs", "fixed": [{"axis": 1, "first": 2, "width": 3}]}
    assert boxes_of(slab, 0, (8, 9, 10)).tolist() == [[[0, 2, 0], [8, 5, 10]]]
    box = {"kind": "boxes", "fixed": [[[1, 2], None, [0, 0]]]}
    assert boxes_of(box, 0, (8, 9, 10)).tolist() == [[[1, 0, 0], [3, 9, 1]]]


def brute_force_gaps(axis: dict[str, float], start: float, size: int, voxel_cm: float) -> set[int]:
    """Layers whose middle is between two modules or on a cathode, by walking along the axis."""
    missing, place = set(), start
    for module in range(int(axis["modules"])):
        for tpc in range(int(axis["tpcs"])):
            place += axis["tpc_cm"]
            width = axis.get("cathode_cm", 0.0) if tpc < axis["tpcs"] - 1 else axis.get("gap_cm", 0.0)
            if tpc == axis["tpcs"] - 1 and module == axis["modules"] - 1:
                break
            missing |= {layer for layer in range(size) if place <= (layer + 0.5) * voxel_cm < place + width}
            place += width
    return missing


@pytest.mark.parametrize("name", geometry_names())
def test_a_named_geometry_against_a_walk_along_its_axes(name: str) -> None:
    config = DetectorGapsConfig(geometry=name, voxel_mm=3.0, shift="centred")
    size = (4000, 1200, 2000)
    boxes = config.boxes(np.empty((0, 3), np.int32), size, np.random.default_rng(0))
    for number, axis in enumerate(config.detector().axes):
        layers = set()
        for low, high in boxes:
            if (high - low)[number] < size[number]:
                layers |= set(range(int(low[number]), int(high[number])))
        start = (size[number] * 0.3 - axis.length_cm) / 2
        wanted = brute_force_gaps(axis.model_dump(), start, size[number], 0.3)
        assert wanted <= layers
        assert len(layers - wanted) <= axis.modules * axis.tpcs  # cathodes thinner than a voxel still have a layer


def test_the_numbers_of_the_2x2_and_of_nd_lar() -> None:
    two = DetectorGapsConfig(geometry="dune_2x2").detector().axes
    assert [(axis.modules, axis.tpcs, axis.tpc_cm, axis.gap_cm) for axis in two] == [
        (2, 2, 30.43, 5.82),
        (1, 1, 124.15, 0.0),
        (2, 1, 62.08, 4.92),
    ]
    assert two[0].cathode_cm == 0.32
    large = DetectorGapsConfig(geometry="nd_lar").detector().axes
    assert (large[0].tpc_cm, large[1].tpc_cm, large[2].tpc_cm) == (46.79, 297.6, 95.23)
    assert (large[0].gap_cm, large[2].gap_cm, large[0].cathode_cm) == (5.79, 4.77, 0.64)


def test_a_random_shift_moves_the_pattern_and_keeps_its_period() -> None:
    config = DetectorGapsConfig(voxel_mm=3.0, parts=("gap",))
    size = (768, 768, 768)
    starts = set()
    for seed in range(20):
        boxes = config.boxes(np.empty((0, 3), np.int32), size, np.random.default_rng(seed))
        drift = np.sort([low[0] for low, high in boxes if low[0] > 0])
        assert (np.abs(np.diff(drift) - 67.0 / 0.3) < 2).all()
        starts.add(int(drift[0]))
    assert len(starts) > 10


def test_a_geometry_of_ones_own(tmp_path: Path) -> None:
    axes = [{"modules": 2, "tpc_cm": 3.0, "gap_cm": 1.0}, {"tpc_cm": 8.0}]
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"axes": axes}))
    for geometry in (str(path), {"axes": axes}):
        config = DetectorGapsConfig.model_validate({"geometry": geometry, "voxel_mm": 10, "shift": [1.0, 0.0]})
        assert config.boxes(np.empty((0, 2), np.int32), (10, 8), np.random.default_rng(0)).tolist() == [
            [[4, 0], [5, 8]]
        ]
    path.write_text("axes: [{tpc_cm: -1}]")
    with pytest.raises(UserError, match=r"own\.yaml is no geometry"):
        DetectorGapsConfig(geometry=str(path)).detector()
    with pytest.raises(UserError, match="dune_2x2, nd_lar"):
        DetectorGapsConfig(geometry="nowhere").detector()


@pytest.mark.parametrize(
    ("region", "text"),
    [
        ({"kind": "boxes", "size": [3, 3]}, "2 numbers"),
        ({"kind": "boxes", "fixed": [[[0, 20], None, None]]}, "16 voxels"),
        ({"kind": "boxes", "fixed": [[[0, 2], None]]}, "2 axes"),
        ({"kind": "slabs", "axes": [3]}, "axis 3"),
        ({"kind": "slabs", "fixed": [{"axis": 0, "first": 15, "width": 2}]}, "ends at voxel 16"),
        ({"kind": "dead_channels", "drift_axis": 5}, "drift_axis is 5"),
        ({"kind": "dead_channels", "fixed": [[[0, 1]]]}, "1 channel axes"),
        ({"kind": "dead_channels", "fixed": [[[0, 1], [14, 18]]]}, "not in axis"),
        ({"kind": "chips", "fixed": [[0]]}, "2 numbers"),
        ({"kind": "detector_gaps", "shift": [0.0]}, "1 numbers"),
    ],
)
def test_regions_that_do_not_fit_the_image_are_refused(region: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        boxes_of(region, 0, (16, 16, 16))


@pytest.mark.parametrize(
    "region",
    [
        {"kind": "slabs", "width": [3, 2]},
        {"kind": "slabs", "count": [0, 0]},
        {"kind": "boxes", "count": [0, 0]},
        {"kind": "chips", "size": 4, "origin": 4},
        {"kind": "hole"},
    ],
)
def test_wrong_regions_are_refused(region: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        REGION.validate_python(region)


def test_the_first_of_overlapping_boxes_owns_a_voxel() -> None:
    boxes = np.array([[[0, 0], [4, 4]], [[2, 2], [6, 6]]])
    coords = np.array([[3, 3], [5, 5], [7, 7], [0, 0]], np.int32)
    assert box_of_voxel(coords, boxes).tolist() == [0, 1, -1, 0]
