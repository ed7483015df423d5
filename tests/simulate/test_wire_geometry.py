"""Geometry of the wire planes: points, lines, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from wire_events import small_detector

from lartpc_sparse.simulate.wire_planes.detector import DETECTORS, DetectorConfig, PlaneConfig, detector_of
from lartpc_sparse.simulate.wire_planes.drift import distort
from lartpc_sparse.simulate.wire_planes.geometry import (
    active,
    drift_distance,
    time_coordinate,
    wire_coordinate,
    x_of_time,
    yz_of_wires,
)
from lartpc_sparse.simulate.wire_planes.placement import PlacementConfig, corner_mm

MICROBOONE = detector_of("microboone")
U, V, Y = MICROBOONE.planes


def points(number: int = 500, seed: int = 0, detector: DetectorConfig = MICROBOONE) -> np.ndarray:
    """Uniform in the drift volume, mm."""
    low = np.array([0.0, -detector.size_mm[1] / 2, 0.0])
    return low + np.random.default_rng(seed).random((number, 3)) * detector.size_mm


@pytest.mark.parametrize("plane", MICROBOONE.planes, ids=lambda plane: plane.name)
def test_the_nearest_wire_is_found_by_measuring_to_all_of_them(plane: PlaneConfig) -> None:
    _, y, z = points(100).T
    angle = np.deg2rad(plane.angle_deg)
    along = np.array([np.cos(angle), np.sin(angle)])  # (y, z) along a wire
    across = np.array([-along[1], along[0]])
    middle = np.array([0.0, MICROBOONE.size_mm[2] / 2])
    centres = middle + (np.arange(plane.num_wires) + 0.5 - plane.num_wires / 2)[:, None] * plane.pitch_mm * across
    offset = np.stack([y, z], axis=1)[:, None] - centres
    distance = np.abs(offset[..., 0] * along[1] - offset[..., 1] * along[0])
    column = np.floor(wire_coordinate(MICROBOONE, plane, y, z)).astype(int)
    inside = (column >= 0) & (column < plane.num_wires)
    assert inside.mean() > 0.99
    np.testing.assert_array_equal(column[inside], distance.argmin(axis=1)[inside])


def test_a_point_by_hand() -> None:
    x, y, z = np.array([1280.0]), np.array([100.0]), np.array([5185.0 + 30.0])
    assert wire_coordinate(MICROBOONE, Y, y, z) == pytest.approx(1728 + 10)
    across = 30 * 0.5 - 100 * np.sqrt(3) / 2
    assert wire_coordinate(MICROBOONE, U, y, z) == pytest.approx(1200 + across / 3)
    assert wire_coordinate(MICROBOONE, V, y, z) == pytest.approx(1200 + (30 * 0.5 + 100 * np.sqrt(3) / 2) / 3)
    assert time_coordinate(MICROBOONE, x) == pytest.approx(800 / 6 + 1280 / 3.3)


@pytest.mark.parametrize("plane", MICROBOONE.planes, ids=lambda plane: plane.name)
def test_a_line_along_a_wire_stays_on_it(plane: PlaneConfig) -> None:
    angle, length = np.deg2rad(plane.angle_deg), np.linspace(-900, 900, 50)
    across = wire_coordinate(MICROBOONE, plane, length * np.cos(angle), 4000 + length * np.sin(angle))
    np.testing.assert_allclose(across, across[0], atol=1e-9)


def test_planes_at_plus_and_minus_60_degrees_add_up_to_the_vertical_one() -> None:
    _, y, z = points().T
    u, v, w = (wire_coordinate(MICROBOONE, plane, y, z) - plane.num_wires / 2 for plane in (U, V, Y))
    np.testing.assert_allclose(u + v, w, atol=1e-9)  # 2 cos 60 = 1


@pytest.mark.parametrize("pair", [(U, V), (U, Y), (V, Y), (Y, U)], ids=lambda pair: pair[0].name + pair[1].name)
def test_wires_of_two_planes_give_the_point_back(pair: tuple[PlaneConfig, PlaneConfig]) -> None:
    _, y, z = points().T
    wires = [wire_coordinate(MICROBOONE, plane, y, z) for plane in pair]
    back = yz_of_wires(MICROBOONE, pair[0], wires[0], pair[1], wires[1])
    np.testing.assert_allclose(back, [y, z], atol=1e-8)


def test_parallel_wires_do_not_cross() -> None:
    with pytest.raises(ValueError, match="planes u and u are parallel"):
        yz_of_wires(MICROBOONE, U, np.zeros(1), U, np.zeros(1))


@given(st.sampled_from(["low_x", "high_x"]), st.floats(-50, 50), st.integers(0, 2**32 - 1))
def test_time_gives_x_back_for_both_drift_directions(anode: str, first_row: float, seed: int) -> None:
    detector = small_detector(anode=anode, first_row=first_row)
    x = points(20, seed, detector)[:, 0]
    np.testing.assert_allclose(x_of_time(detector, time_coordinate(detector, x)), x, atol=1e-9)
    order = np.argsort(drift_distance(detector, x))
    assert (np.diff(time_coordinate(detector, x)[order]) >= 0).all()


def test_drift_is_measured_from_the_anode() -> None:
    x = np.array([0.0, 300.0])
    assert drift_distance(small_detector(), x).tolist() == [0.0, 300.0]
    assert drift_distance(small_detector(anode="high_x"), x).tolist() == [300.0, 0.0]


@pytest.mark.parametrize("name", DETECTORS)
def test_nearly_all_of_a_named_detector_is_seen(name: str) -> None:
    detector = DETECTORS[name]()
    x, y, z = points(20_000, 1, detector).T
    for plane in detector.planes:
        wire = wire_coordinate(detector, plane, y, z)
        assert ((wire >= 0) & (wire < plane.num_wires)).mean() > 0.999
    time = time_coordinate(detector, x)
    assert ((time >= 0) & (time < detector.image_size[1])).all()


def test_microboone_is_as_published() -> None:
    assert MICROBOONE.image_size == (3456, 1008)
    assert [plane.num_wires for plane in MICROBOONE.planes] == [2400, 2400, 3456]
    assert MICROBOONE.size_mm[0] / MICROBOONE.velocity_mm_us / 1000 == pytest.approx(2.3, abs=0.05)  # ms


def test_only_what_is_inside_is_active() -> None:
    inside = np.array([[0.0, -120.0, 0.0], [300.0, 120.0, 360.0], [150.0, 0.0, 180.0]])
    outside = np.array([[-0.1, 0, 0], [300.1, 0, 0], [1, 120.1, 1], [1, -121.0, 1], [1, 0, 360.5]])
    assert active(small_detector(), inside).all()
    assert not active(small_detector(), outside).any()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["random", "centre"]))
def test_a_placed_image_lies_inside(seed: int, where: str) -> None:
    image = np.array([200.0, 240.0, 100.0])
    config = PlacementConfig(where=where)
    corner = corner_mm(config, small_detector(), image, np.random.default_rng(seed))
    assert active(small_detector(), np.stack([corner, corner + image]) * (1 - 1e-12)).all()
    if where == "centre":
        np.testing.assert_allclose(corner + image / 2, [150, 0, 180])


def test_an_image_that_is_too_long_is_centred_and_a_fixed_corner_is_taken() -> None:
    rng = np.random.default_rng(0)
    corner = corner_mm(PlacementConfig(), small_detector(), np.array([400.0, 10, 10]), rng)
    assert corner[0] == -50
    fixed = PlacementConfig(where="fixed", corner_mm=(1.0, 2.0, 3.0))
    assert corner_mm(fixed, small_detector(), np.ones(3), rng).tolist() == [1, 2, 3]
    with pytest.raises(ValidationError, match="corner_mm goes with where: fixed"):
        PlacementConfig(where="fixed")


@given(st.integers(0, 2**32 - 1))
def test_distortion_is_one_to_one_and_keeps_the_walls_of_the_drift(seed: int) -> None:
    amplitude = (20.0, 100.0, 50.0)
    rng = np.random.default_rng(seed)
    s = np.sort(rng.random(50))
    for axis in range(3):
        line = np.tile(points(1, seed), (50, 1))
        line[:, axis] = s * MICROBOONE.size_mm[axis] - (axis == 1) * MICROBOONE.size_mm[1] / 2
        assert (np.diff(distort(MICROBOONE, line, amplitude)[:, axis]) > 0).all()
    walls = points(20, seed)
    walls[:10, 0], walls[10:, 0] = 0.0, MICROBOONE.size_mm[0]
    moved = distort(MICROBOONE, walls, amplitude)
    np.testing.assert_allclose(moved[:, 0], walls[:, 0], atol=1e-9)
    np.testing.assert_allclose(moved[:10], walls[:10], atol=1e-9)  # nothing has drifted
    assert active(MICROBOONE, moved).all()


def test_no_distortion_changes_nothing() -> None:
    assert distort(MICROBOONE, points(5), (0.0, 0.0, 0.0)) is not None
    np.testing.assert_array_equal(distort(MICROBOONE, points(5), (0.0, 0.0, 0.0)), points(5))


def test_a_detector_must_hold_together() -> None:
    plane = PlaneConfig(name="y", angle_deg=0.0, num_wires=200)
    with pytest.raises(ValidationError, match="200 wires, but an image has 160"):
        small_detector(planes=(plane,))
    with pytest.raises(ValidationError, match="a name of its own"):
        small_detector(planes=(PlaneConfig(name="y", angle_deg=0.0, num_wires=10),) * 2)
