"""Camera frames: how many faint recoils a matched filter finds that knows where they are, at a given number of fakes.

python -m benchmarks.camera_ceiling

The filter is a Gaussian of the width of the light (spot of the amplification and diffusion), weighted with
the noise of every pixel of the sensor; its significance is the fitted light over its error. It knows pedestal and noise
exactly. Fakes are its local maxima on frames without recoils. A recoil is found when its significance is above that of
the wanted number of fakes:

known: the filter at the true middle of the light, of the true width. Nothing is searched.
scan:  the best of several widths, no further from the middle of the light than `--reach` pixels: what a search has.
shape: the filter is the true light of every pixel, single electrons included. No method can know it.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import ndimage

from lartpc_sparse.simulate.camera import CameraConfig, CameraSource
from lartpc_sparse.simulate.camera.light import LightConfig, render
from lartpc_sparse.simulate.camera.recoils import electron_track, nuclear_track
from lartpc_sparse.simulate.camera.sensor import SensorConfig, vignetting

HALF = 48
"""Half of the side of the window around a recoil, sensor pixels."""
TRACKS = {"nuclear": nuclear_track, "electron": electron_track}


def width_of(light: LightConfig, drift_mm: float) -> float:
    """Standard deviation of the light of a point, sensor pixels."""
    return float(np.sqrt(light.spot_mm2 + light.diffusion_mm2_cm * drift_mm / 10) / light.pixel_mm)


def bank(light: LightConfig, number: int) -> list[float]:
    """Widths from the shortest drift to the longest."""
    return [width_of(light, float(drift)) for drift in np.linspace(*light.drift_mm, number)]


def kernel(width: float, middle: tuple[float, float], size: int) -> np.ndarray:
    """A Gaussian on a square of pixels, sum 1."""
    y, x = np.ogrid[:size, :size]
    made = np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * width**2))
    return made / made.sum()


def fitted(values: np.ndarray, weight: np.ndarray, template: np.ndarray) -> float:
    """Fitted light over its error."""
    return float((values * weight * template).sum() / np.sqrt((weight * template**2).sum()))


class Scan:
    """Significance of every pixel, the best of all widths.

    Args:
        weight: one over the variance of every pixel, 0 for bad ones.
        widths: of the filters.
    """

    def __init__(self, weight: np.ndarray, widths: list[float]) -> None:
        self._weight, self._widths = weight, widths
        # The square of a Gaussian is one of width / sqrt(2), times 1 / (4 pi width^2).
        self._error = [
            np.sqrt(ndimage.gaussian_filter(weight, width / np.sqrt(2)) / (4 * np.pi * width**2)) for width in widths
        ]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Of counts above the pedestal."""
        weighted = values * self._weight
        found = [
            ndimage.gaussian_filter(weighted, width) / np.maximum(error, 1e-12)
            for width, error in zip(self._widths, self._error, strict=True)
        ]
        best: np.ndarray = np.max(found, axis=0)
        return best


def fakes(source: CameraSource, weight: np.ndarray, widths: list[float], frames: int) -> np.ndarray:
    """Significances of the local maxima of frames without recoils, largest first."""
    scan, found = Scan(weight, widths), []
    side = 2 * round(2 * widths[-1]) + 1
    for index in range(frames):
        counts = source.make(12, index)["frames"].counts.astype(np.float32)
        significance = scan(np.where(weight > 0, counts - source.sensor.offset, 0).astype(np.float32))
        peak = significance == ndimage.maximum_filter(significance, size=side)
        found.append(significance[peak & (significance > 1.5)])
    return np.sort(np.concatenate(found))[::-1]


def recoils(  # noqa: PLR0917
    config: CameraConfig, kind: str, energy: float, number: int, reach: int, widths: list[float]
) -> dict[str, np.ndarray]:
    """Light and significances of single recoils, one a row."""
    rng = np.random.default_rng([13, round(energy * 1000), kind == "nuclear"])
    sensor, light = config.sensor, config.light
    rows: list[tuple[float, float, float, float]] = []
    size = 2 * HALF + 1
    for _ in range(number):
        drift = float(rng.uniform(*light.drift_mm))
        place = config.margin_pixels + rng.random(2) * (np.array(sensor.size) - 2 * config.margin_pixels)
        points, deposits = TRACKS[kind](energy, config.recoils, rng)
        fixed = light.model_copy(update={"drift_mm": (drift, drift)})
        spot = render(points, deposits, (HALF + place[0] % 1, HALF + place[1] % 1), fixed, rng)
        truth = np.zeros((size, size))
        if spot is not None:
            low, high = max(spot.row, 0), min(spot.row + spot.counts.shape[0], size)
            left, right = max(spot.column, 0), min(spot.column + spot.counts.shape[1], size)
            truth[low:high, left:right] = spot.counts[
                low - spot.row : high - spot.row, left - spot.column : right - spot.column
            ]
        truth *= vignetting(sensor, place[:1], place[1:])
        rows.append(_measure(truth, sensor, width_of(light, drift), reach, widths, rng))
    table = np.array(rows)
    return dict(zip(("light", "known", "scan", "shape"), table.T, strict=True))


def _measure(  # noqa: PLR0917
    truth: np.ndarray, sensor: SensorConfig, width: float, reach: int, widths: list[float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    noise = sensor.noise_counts * np.exp(sensor.noise_spread * rng.normal(size=truth.shape))
    counts = rng.poisson(truth / sensor.counts_per_electron) * sensor.counts_per_electron
    values = np.rint(counts + noise * rng.normal(size=truth.shape))
    weight = 1 / (noise**2 + 1 / 12)
    light = float(truth.sum())
    middle = (float(HALF), float(HALF))
    if light > 0:
        y, x = np.ogrid[: truth.shape[0], : truth.shape[1]]
        middle = (float((truth * y).sum() / light), float((truth * x).sum() / light))
    known = fitted(values, weight, kernel(width, middle, len(truth)))
    row, column = round(middle[0]), round(middle[1])
    near = Scan(weight, widths)(values)[
        max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
    ]
    shape = fitted(values, weight, truth) if light > 0 else float(rng.normal())
    return light, known, float(near.max()), shape


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.camera_ceiling", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--noise", type=float, default=2.135, help="counts")
    parser.add_argument("--kinds", nargs="+", choices=sorted(TRACKS), default=["nuclear"])
    parser.add_argument("--energies", type=float, nargs="+", default=[0.25, 0.5, 1.0], help="keV")
    parser.add_argument("--recoils", type=int, default=2000, help="of every energy")
    parser.add_argument("--frames", type=int, default=10, help="without recoils, for the fakes")
    parser.add_argument("--fakes", type=float, nargs="+", default=[17.6, 60.0, 79.3], help="an image")
    parser.add_argument("--widths", type=int, default=4, help="filters of the scan")
    parser.add_argument("--reach", type=int, default=8, help="pixels of the sensor")
    options = parser.parse_args()
    sensor = {"noise_counts": options.noise}
    config = CameraConfig.model_validate({"sensor": sensor, "recoils": {"per_image": [0, 0]}})
    source = config.build()
    pixels = source.sensor
    weight = np.where(pixels.hot | pixels.dead, 0, 1 / (pixels.noise**2 + 1 / 12)).astype(np.float32)
    widths = bank(config.light, options.widths)
    seen = fakes(source, weight, widths, options.frames)
    limits = {number: float(seen[round(number * options.frames)]) for number in options.fakes}
    print(f"widths {', '.join(f'{width:.2f}' for width in widths)} pixels; {options.frames} frames without recoils")
    print("significance at so many fakes an image:", {number: round(limit, 2) for number, limit in limits.items()})
    print("| recoil | light, 5 % / median | significance, 5 % / median | fakes an image | known | scan | shape |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.kinds:
        for energy in options.energies:
            found = recoils(config, kind, energy, options.recoils, options.reach, widths)
            light, significance = (np.quantile(found[name], [0.05, 0.5]) for name in ("light", "known"))
            for number, limit in limits.items():
                shares = " | ".join(
                    f"{100 * (found[name] > limit).mean():.1f} %" for name in ("known", "scan", "shape")
                )
                print(
                    f"| {kind} {energy:g} keV | {light[0]:.0f} / {light[1]:.0f} | "
                    f"{significance[0]:.1f} / {significance[1]:.1f} | {number:g} | {shares} |"
                )


if __name__ == "__main__":
    main()
