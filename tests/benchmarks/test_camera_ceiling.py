"""The matched filter of the camera's ceiling: a significance is light over its error, and noise alone gives 1."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.camera_ceiling import Scan, bank, fakes, fitted, kernel, main, recoils
from lartpc_sparse.simulate.camera import CameraConfig

SIDE = 96


def test_the_scan_is_the_fit_at_every_pixel() -> None:
    rng = np.random.default_rng(0)
    weight = (1 / rng.uniform(1.5, 3.0, (SIDE, SIDE)) ** 2).astype(np.float64)
    values = rng.normal(size=(SIDE, SIDE)) / np.sqrt(weight) + 300 * kernel(4.0, (50, 40), SIDE)
    scan = Scan(weight, [4.0])(values)
    for row, column in ((50, 40), (45, 44), (60, 60)):
        assert scan[row, column] == pytest.approx(fitted(values, weight, kernel(4.0, (row, column), SIDE)), abs=0.03)
    light, error = 300.0, 1 / np.sqrt((weight * kernel(4.0, (50, 40), SIDE) ** 2).sum())
    assert scan[50, 40] == pytest.approx(light / error, abs=3)


def test_noise_alone_has_width_one_and_recoils_stand_above_it() -> None:
    rng = np.random.default_rng(1)
    noise = np.exp(0.15 * rng.normal(size=(512, 512))) * 2
    scan = Scan(1 / noise**2, [3.0])(rng.normal(size=noise.shape) * noise)
    assert scan.std() == pytest.approx(1.0, abs=0.05)
    config = CameraConfig.model_validate({"recoils": {"per_image": [0, 0]}, "sensor": {"size": [256, 256]}})
    widths = bank(config.light, 3)
    assert widths == sorted(widths)
    source = config.build()
    seen = fakes(source, np.where(source.sensor.hot | source.sensor.dead, 0, 1 / source.sensor.noise**2), widths, 1)
    assert 3 < seen[0] < 6
    assert (np.diff(seen) <= 0).all()
    found = recoils(config, "nuclear", 3.0, 20, 8, widths)
    assert np.median(found["known"]) > 10
    assert (found["scan"] > 0.9 * found["known"] - 1).all()
    assert found["light"].mean() == pytest.approx(1000 * 3 * 0.5, rel=0.3)


def test_it_prints_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["camera_ceiling", "--recoils", "5", "--frames", "1", "--energies", "1"])
    main()
    assert "| nuclear 1 keV |" in capsys.readouterr().out
