"""Simulated camera frames: ranges, quenching, light, sensor, truth, and the step that writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from lartpc_sparse.data.camera import open_frames
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.run import main
from lartpc_sparse.simulate.camera import CameraConfig
from lartpc_sparse.simulate.camera.light import LightConfig, render
from lartpc_sparse.simulate.camera.recoils import (
    RecoilConfig,
    electron_range_mm,
    electron_track,
    lindhard,
    nuclear_track,
)
from lartpc_sparse.simulate.camera.sensor import SensorConfig, make_sensor, read_out, vignetting

SMALL = {"sensor": {"size": [160, 192], "hot_fraction": 1e-3, "dead_fraction": 1e-3}, "margin_pixels": 20}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ranges_follow_katz_and_penfold() -> None:
    # 412 E^1.265 at 1 MeV: 412 mg/cm2, whatever the exponent's slope.
    assert electron_range_mm(np.array([1000.0]), 1000.0)[0] == pytest.approx(412 / 1000 * 10)
    energies = np.array([0.25, 1, 6, 60.0])
    assert (np.diff(electron_range_mm(energies, 1.51)) > 0).all()


def test_quenching_grows_with_energy_and_stays_below_one() -> None:
    factors = [lindhard(energy, 2, 4) for energy in (0.25, 1, 10, 60, 1000)]
    assert factors == sorted(factors)
    assert 0 < factors[0] < factors[-1] < 1
    reduced = 11.5 * 10 * 2 ** (-7 / 3)
    g = 3 * reduced**0.15 + 0.7 * reduced**0.6 + reduced
    k = 0.133 * 2 ** (2 / 3) / 2
    assert lindhard(10, 2, 4) == pytest.approx(k * g / (1 + k * g))


@pytest.mark.parametrize("energy", [0.25, 6.0, 60.0])
def test_tracks_hold_their_energy(energy: float) -> None:
    config = RecoilConfig()
    points, deposits = electron_track(energy, config, rng(1))
    assert points.shape == (len(deposits), 3)
    assert deposits.sum() == pytest.approx(energy, rel=0.02)
    assert (deposits >= 0).all()
    total = electron_range_mm(np.array([energy]), config.density_mg_cm3)[0]
    assert np.linalg.norm(points, axis=1).max() <= total * 1.001
    points, deposits = nuclear_track(energy, config, rng(2))
    assert deposits.sum() == pytest.approx(energy * lindhard(energy, 2, 4))
    assert np.linalg.norm(points, axis=1).max() <= config.nuclear_range_mm * energy


def test_light_has_the_mean_and_width_that_are_asked_for() -> None:
    config = LightConfig(drift_mm=(100.0, 100.0))
    spots = [render(np.zeros((1, 3)), np.array([20.0]), (50.3, 70.8), config, rng(seed)) for seed in range(40)]
    images = []
    for spot in spots:
        assert spot is not None
        image = np.zeros((200, 200))
        image[spot.row : spot.row + spot.counts.shape[0], spot.column : spot.column + spot.counts.shape[1]] = (
            spot.counts
        )
        images.append(image)
    mean = np.mean(images, axis=0)
    assert mean.sum() == pytest.approx(20 * config.counts_per_kev, rel=0.05)
    rows = np.arange(200)
    profile = mean.sum(axis=1) / mean.sum()
    middle = (rows * profile).sum()
    assert middle == pytest.approx(50.0, abs=0.7)
    variance = (config.spot_mm2 + config.diffusion_mm2_cm * 10) / config.pixel_mm**2
    assert ((rows - middle) ** 2 * profile).sum() == pytest.approx(variance, rel=0.1)
    assert render(np.zeros((1, 3)), np.array([0.0]), (5.0, 5.0), config, rng()) is None


def test_pedestal_frames_have_the_offset_and_noise_of_each_pixel() -> None:
    config = SensorConfig(size=(40, 50), hot_fraction=0, dead_fraction=0.01, row_noise_counts=0)
    sensor = make_sensor(config)
    assert sensor.dead.any()
    frames = np.stack([read_out(sensor, config, None, rng(seed)) for seed in range(400)]).astype(float)
    alive = ~sensor.dead
    pull = (frames.mean(axis=0) - sensor.offset)[alive] / (sensor.noise[alive] / 20)
    assert abs(pull.mean()) < 0.1
    assert pull.std() == pytest.approx(1, abs=0.1)
    assert (frames.std(axis=0)[alive] / sensor.noise[alive]).mean() == pytest.approx(1, abs=0.03)
    assert (frames[:, sensor.dead] == 0).all()
    again = make_sensor(config)
    np.testing.assert_array_equal(again.noise, sensor.noise)


def test_vignetting_is_one_in_the_middle_and_least_in_the_corners() -> None:
    config = SensorConfig(size=(100, 200), vignetting=0.4)
    y, x = np.mgrid[:100, :200]
    relative = vignetting(config, y, x)
    assert relative.max() == pytest.approx(1, abs=1e-3)
    assert relative[0, 0] == pytest.approx(0.6, abs=0.02)


def test_an_event_is_a_function_of_seed_and_index() -> None:
    config = CameraConfig.model_validate({**SMALL, "recoils": {"per_image": [2, 3]}})
    one, other = config.build(), config.build()
    other.make(3, 0)
    first, second = one.make(3, 5), other.make(3, 5)
    np.testing.assert_array_equal(first["frames"].counts, second["frames"].counts)
    np.testing.assert_array_equal(first["truth"].coords, second["truth"].coords)
    assert not np.array_equal(one.make(4, 5)["frames"].counts, first["frames"].counts)
    assert first["frames"].name == "pic_run1_ev5"


def test_truth_is_the_light_that_the_frame_holds() -> None:
    quiet = {"size": [256, 256], "noise_counts": 0.01, "offset_spread": 0, "row_noise_counts": 0, "hot_fraction": 0}
    recoils = {"per_image": [1, 1], "electron_kev": [10.0], "nuclear_kev": []}
    config = CameraConfig.model_validate({"sensor": quiet, "recoils": recoils, "margin_pixels": 100})
    made = config.build().make(1, 0)
    truth, counts = made["truth"], made["frames"].counts.astype(float) - 100
    counts[counts < -50] = 0  # dead pixels
    assert counts.sum() == pytest.approx(truth.particles["light"][0], rel=0.15)
    assert truth.energy.sum() == pytest.approx(truth.particles["light"][0], rel=0.02)
    assert set(truth.labels["instance"]) == {0}
    assert truth.particles["energy_kev"].tolist() == [10.0]


def test_overlapping_recoils_share_pixels_by_light() -> None:
    recoils = {"per_image": [40, 40], "electron_kev": [1.0], "nuclear_kev": [10.0]}
    truth = CameraConfig.model_validate({**SMALL, "recoils": recoils}).build().make(2, 0)["truth"]
    assert len(truth.particles["light"]) == 40
    assert truth.labels["instance"].max() < 40
    assert truth.energy.sum() <= truth.particles["light"].sum() * 1.001


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="neither electron_kev nor nuclear_kev"):
        CameraConfig.model_validate({"recoils": {"electron_kev": [], "nuclear_kev": []}})
    with pytest.raises(ValueError, match="least, most"):
        CameraConfig.model_validate({"recoils": {"per_image": [3, 1]}})
    with pytest.raises(ValueError, match="leaves no room"):
        CameraConfig.model_validate({"sensor": {"size": [60, 60]}})


def test_the_step_writes_frames_truth_and_a_pedestal_run(tmp_path: Path) -> None:
    source = {"kind": "camera", **SMALL, "events": 5, "pedestal_frames": 2, "events_per_file": 3, "processes": 1}
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump({"run": {"output_dir": str(tmp_path / "run")}, "simulate": source}))
    assert main([str(chain)]) == 0
    files = sorted(path.name for path in (tmp_path / "run" / "events").glob("*.h5"))
    assert files == ["frames_00000.h5", "frames_00001.h5", "truth_00000.h5", "truth_00001.h5"]
    file = open_frames(str(tmp_path / "run" / "events" / "frames_00000.h5"))
    assert file.names == ("pic_run1_ev0", "pic_run1_ev1", "pic_run1_ev2")
    assert file.read(0).dtype == np.uint16
    truth = VoxelsConfig(files=(str(tmp_path / "run" / "events" / "truth_*.h5"),)).build()
    assert [len(truth.read(index).particles["light"]) for index in range(5)] == [0, 0, 1, 1, 1]
    assert main([str(chain)]) == 0  # nothing is made again
    with h5py.File(tmp_path / "run" / "events" / "frames_00001.h5") as opened:
        assert int(opened.attrs["first_event"]) == 3
