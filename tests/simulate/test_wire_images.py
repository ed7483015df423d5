"""Images of wire planes: charge, widths, scale, threshold, variations; against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from wire_events import CLASSES, QUIET, small_detector, source_of, voxel_event

from lartpc_sparse.data.event import Event
from lartpc_sparse.simulate.wire_planes import WirePlanesConfig
from lartpc_sparse.simulate.wire_planes.geometry import time_coordinate, wire_coordinate
from lartpc_sparse.simulate.wire_planes.variation import VARIATIONS

FIXED = {"model": "fixed", "fixed": 0.5}
PLAIN = {"charge": FIXED, "variation": QUIET, "readout": {"piu_per_electron": 0.01, "threshold_piu": 1e-6}}
"""Every voxel gives the same charge per MeV, there is no noise, and nearly every pixel is kept."""


def dense(event: Event) -> np.ndarray:
    image = np.zeros(event.image_size)
    np.add.at(image, tuple(event.coords.T), event.energy)
    return image


def random_event(seed: int, number: int) -> Event:
    rng = np.random.default_rng(seed)
    where = np.stack(np.unravel_index(rng.choice(40**3, number, replace=False), (40, 40, 40)), axis=1) + 12
    return voxel_event(
        where, rng.uniform(0.1, 3, number), semantic=rng.integers(-1, 6, number), instance=rng.integers(-1, 4, number)
    )


@pytest.mark.parametrize("plane", range(3))
def test_an_image_equals_a_sum_of_many_points(plane: int) -> None:
    """Each voxel as 12^3 points, each point a gaussian integrated over every pixel of the dense image."""
    detector = small_detector()
    wires = detector.planes[plane]
    event = random_event(plane, 6)
    drift = {"lifetime_ms": 0.1}
    corner = np.array([150 - 96.0, -96.0, 180 - 96.0])
    grid = (np.arange(12) + 0.5) / 12
    inside = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = np.zeros(detector.image_size)
    for voxel, energy in zip(event.coords, event.energy, strict=True):
        time_us = (corner[0] + (voxel[0] + 0.5) * 3) / 1.1  # widths and losses are those of the voxel's middle
        charge = float(energy) * 1e6 / 23.6 * 0.5 * np.exp(-time_us / 100) * 0.01
        across = np.hypot(10 * np.sqrt(2 * 5.7e-6 * time_us), 0.8) / 3.0
        along = np.hypot(10 * np.sqrt(2 * 3.74e-6 * time_us), 1.5) / 3.3
        x, y, z = (corner + (voxel + inside) * 3).T
        columns = np.diff(ndtr((np.arange(161) - wire_coordinate(detector, wires, y, z)[:, None]) / across))
        rows = np.diff(ndtr((np.arange(121) - time_coordinate(detector, x)[:, None]) / along))
        expected += charge * np.einsum("pw,pt->wt", columns, rows) / len(inside)
    found = dense(source_of(event, **PLAIN, drift=drift).make(0, 0)[wires.name])
    np.testing.assert_allclose(found, expected, atol=0.004 * expected.max())
    assert found.sum() == pytest.approx(expected.sum(), rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uniform", "random", "none"]))
def test_all_charge_arrives_on_every_plane(seed: int, smear: str) -> None:
    event = random_event(seed, 30)
    source = source_of(event, **PLAIN, smear=smear, drift={"lifetime_ms": 1e9})
    charge = event.energy.sum() * 1e6 / 23.6 * 0.5 * 0.01
    for image in source.make(seed, 0).values():
        assert image.energy.sum() == pytest.approx(charge, rel=1e-4)


def test_lifetime_attenuates_by_the_drift_time() -> None:
    near, far = voxel_event([[0, 30, 30]]), voxel_event([[60, 30, 30]])
    sums = [source_of(event, **PLAIN, drift={"lifetime_ms": 0.5}).make(0, 0)["y"].energy.sum() for event in (near, far)]
    assert sums[1] / sums[0] == pytest.approx(np.exp(-60 * 3 / 1.1 / 500), rel=1e-3)


@pytest.mark.parametrize(("coefficients", "axis"), [((900.0, 0.0), 1), ((0.0, 900.0), 0)])
def test_a_point_spreads_by_sqrt_2_d_t(coefficients: tuple[float, float], axis: int) -> None:
    planes = [{"name": "y", "angle_deg": 0.0, "num_wires": 140, "response_wire_mm": 0.0, "response_time_mm": 0.0}]
    drift = {"longitudinal_cm2_s": coefficients[0], "transverse_cm2_s": coefficients[1], "lifetime_ms": 1e9}
    source = source_of(
        voxel_event([[60, 30, 30]], 1000.0), **PLAIN, smear="none", drift=drift, detector=small_detector(planes=planes)
    )
    image = source.make(0, 0)["y"]
    where = image.coords[:, axis] + 0.5
    mean = np.average(where, weights=image.energy)
    spread = np.sqrt(np.average((where - mean) ** 2, weights=image.energy) - 1 / 12)  # Sheppard: pixels are boxes
    time_s = (150 - 96 + 60.5 * 3) / 1.1 * 1e-6
    assert spread * (3.0, 3.3)[axis] == pytest.approx(10 * np.sqrt(2 * 900 * time_s), rel=0.02)
    assert len(np.unique(image.coords[:, 1 - axis])) <= 2


def test_one_voxel_is_where_the_geometry_says() -> None:
    detector = small_detector()
    corner = (30.0, -60.0, 90.0)
    event = voxel_event([[20, 10, 30]], 5.0)
    images = source_of(event, **PLAIN, placement={"where": "fixed", "corner_mm": corner}).make(0, 0)
    x, y, z = (np.array([c + (v + 0.5) * 3]) for c, v in zip(corner, (20, 10, 30), strict=True))
    for plane in detector.planes:
        image = images[plane.name]
        middle = np.average(image.coords + 0.5, weights=image.energy, axis=0)
        assert middle[0] == pytest.approx(wire_coordinate(detector, plane, y, z)[0], abs=0.02)
        assert middle[1] == pytest.approx(time_coordinate(detector, x)[0], abs=0.02)


def test_charge_outside_of_the_detector_and_of_the_wires_is_lost() -> None:
    outside = {"where": "fixed", "corner_mm": (-3.0, -120.0, 0.0)}
    event = voxel_event([[0, 20, 20], [1, 20, 20]], [4.0, 1.0])
    images = source_of(event, **PLAIN, placement=outside).make(0, 0)
    assert all(set(image.labels["row"].tolist()) == {1, -1} for image in images.values())  # -1: hardly any charge
    few = small_detector(planes=[{"name": "y", "angle_deg": 0.0, "num_wires": 20}])  # 60 of 360 mm
    image = source_of(event, **PLAIN, placement=outside, detector=few).make(0, 0)["y"]
    assert len(image) == 0
    assert image.labels["semantic"].shape == (0,)
    assert image.labels["semantic"].dtype == np.int64


def test_an_empty_event_gives_empty_images_or_noise() -> None:
    empty = voxel_event(np.zeros((0, 3)))
    assert all(len(image) == 0 for image in source_of(empty, variation=QUIET).make(0, 0).values())
    for plane, image in source_of(empty, variation={"noise": 2.0}).make(0, 0).items():
        assert len(image) > 10
        assert (image.energy >= 10).all()
        assert (image.labels["semantic"] == -1).all()
        assert image.coords[:, 0].max() < {"u": 150, "v": 150, "y": 140}[plane]  # padding stays empty


def test_the_threshold_keeps_what_reaches_it() -> None:
    event = random_event(1, 50)
    every = source_of(event, **PLAIN).make(0, 0)["u"]
    readout = {"piu_per_electron": 0.01, "threshold_piu": 30.0}
    kept = source_of(event, **{**PLAIN, "readout": readout}).make(0, 0)["u"]
    bright = every.energy >= 30
    np.testing.assert_array_equal(kept.coords, every.coords[bright])
    np.testing.assert_array_equal(kept.energy, every.energy[bright])


def test_minimum_ionising_tracks_of_the_sample_peak_near_40_piu() -> None:
    source = WirePlanesConfig(reader={"kind": "sample", "split": "validation"}, variation=QUIET).build()
    for plane in "uvy":
        found = []
        for index in range(12):
            image = source.make(0, index)[plane]
            found.append(image.energy[image.labels["semantic"] == CLASSES.index("MIP")])
        counts, edges = np.histogram(np.concatenate(found), bins=np.arange(22, 100, 8))
        assert 34 <= edges[counts.argmax()] + 4 <= 46


def test_images_depend_on_seed_and_index_alone() -> None:
    events = [random_event(seed, 40) for seed in range(3)]
    source, again = source_of(*events), source_of(*events)
    first = [source.make(5, index) for index in range(3)]
    for index in (2, 0, 1):
        for name, image in again.make(5, index).items():
            np.testing.assert_array_equal(image.coords, first[index][name].coords)
            np.testing.assert_array_equal(image.energy, first[index][name].energy)
    other = source.make(6, 0)["y"]
    assert not np.array_equal(other.energy, first[0]["y"].energy)


def test_random_places_differ_between_events_and_not_between_variations() -> None:
    event = random_event(0, 40)
    random = {"placement": {"where": "random"}, "charge": FIXED}
    middle = []
    for index, variation in ((0, "none"), (1, "none"), (0, "gain_up")):
        image = source_of(event, event, **random, variation=variation).make(0, index)["y"]
        middle.append(np.average(image.coords, weights=image.energy, axis=0))
    assert np.abs(middle[0] - middle[1]).max() > 3
    assert np.abs(middle[0] - middle[2]).max() < 0.5


def test_noise_is_the_same_in_all_variations() -> None:
    event = random_event(3, 60)
    values = {}
    for name, variation in (
        ("quiet", {"noise": 0.0}),
        ("nominal", {"noise": 1.0}),
        ("loud", {"noise": 2.0}),
        ("bright", {"gain": 2.0}),
    ):
        readout = {"threshold_piu": 3.0 if name != "quiet" else 1e-9}
        values[name] = dense(source_of(event, variation=variation, readout=readout).make(9, 0)["v"])
    lit = (values["quiet"] > 30) & (values["nominal"] > 0) & (values["loud"] > 0)
    noise = (values["nominal"] - values["quiet"])[lit]
    assert noise.std() == pytest.approx(300 * 0.0056, rel=0.2)
    np.testing.assert_allclose((values["loud"] - values["quiet"])[lit], 2 * noise, atol=1e-3)
    np.testing.assert_allclose((values["bright"] - 2 * values["quiet"])[lit], noise, atol=1e-3)
    dark = (values["quiet"] == 0) & (values["nominal"] > 0)  # noise that passes the threshold stays where it is
    assert dark.any()
    np.testing.assert_allclose(values["loud"][dark], 2 * values["nominal"][dark], rtol=1e-6)


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_moves_the_image_in_its_direction(name: str) -> None:
    event = random_event(4, 60)
    quiet = {"noise": 0.0}

    def image(factors: dict[str, object]) -> np.ndarray:
        return dense(source_of(event, variation={**factors, **quiet}, readout={"threshold_piu": 1e-6}).make(0, 0)["u"])

    nominal, varied = image({}), image(VARIATIONS[name].model_dump(exclude={"noise"}))
    total = varied.sum() / nominal.sum()
    if name.startswith("gain"):
        np.testing.assert_allclose(varied, nominal * (1.1 if name == "gain_up" else 0.9), rtol=1e-5, atol=2e-6)
    elif name.startswith("recombination"):
        assert (total < 1) == (name == "recombination_up")
    elif name == "lifetime_short":
        assert total < 1
    elif "diffusion" in name or name.startswith("response"):
        assert total == pytest.approx(1, abs=1e-4)
        assert (varied.max() < nominal.max()) == name.endswith(("up", "wide"))
    elif name == "field_distortion":
        assert total == pytest.approx(1, abs=0.01)
        assert np.abs(varied - nominal).max() > 1
    else:
        np.testing.assert_array_equal(varied, nominal)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(VARIATIONS)))
def test_every_image_is_well_formed(seed: int, variation: str) -> None:
    event = random_event(seed, seed % 50)
    for image in source_of(event, variation=variation).make(seed, 0).values():
        assert image.image_size == (160, 120)
        assert image.coords.dtype == np.int32
        assert ((image.coords >= 0) & (image.coords < [160, 120])).all()
        assert len(np.unique(image.coords, axis=0)) == len(image)
        assert (image.energy >= 10).all()
        assert set(image.labels) == set(event.labels)
        assert image.particles.keys() - event.particles.keys() <= {
            f"plane_{n}_{a}" for n in ("vertex", "interaction") for a in "xy"
        }
        for name, column in event.particles.items():
            np.testing.assert_array_equal(image.particles[name], column)
