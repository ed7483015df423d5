"""Charge of the wire planes: recombination, drift, pixel integrals, noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom, kstest, norm
from wire_events import voxel_event

from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.wire_planes.charge import ChargeConfig, electrons, local_dedx, recombination
from lartpc_sparse.simulate.wire_planes.drift import DriftConfig, diffusion_mm, surviving
from lartpc_sparse.simulate.wire_planes.footprint import REACH, footprint, spread_cdf
from lartpc_sparse.simulate.wire_planes.noise import excesses, pixel_normals


def test_recombination_of_a_mip_is_near_the_published_value() -> None:
    dedx = np.array([2.1])
    assert recombination(ChargeConfig(), dedx, 0.5)[0] == pytest.approx(0.71, abs=0.015)  # arXiv:1306.1712, figure 6
    assert recombination(ChargeConfig(model="birks"), dedx, 0.5)[0] == pytest.approx(0.70, abs=0.015)
    assert recombination(ChargeConfig(model="fixed"), dedx, 0.5)[0] == 0.64


@pytest.mark.parametrize("model", ["modified_box", "birks"])
def test_dense_ionisation_recombines_more(model: str) -> None:
    config, dedx = ChargeConfig(model=model), np.linspace(1.7, 60, 200)
    share = recombination(config, dedx, 0.273)
    assert ((share > 0) & (share < 1)).all()
    assert (np.diff(share) < 0).all()
    assert (np.diff(share * dedx) > 0).all()  # yet more energy is more charge
    assert (recombination(config, dedx, 0.273, 1.1) < share).all()
    np.testing.assert_array_equal(recombination(config, np.array([0.0, 1.0]), 0.273), share[:1].repeat(2))


@pytest.mark.parametrize("seed", range(10))
def test_dedx_of_a_straight_line_in_any_direction(seed: int) -> None:
    direction = np.random.default_rng(seed).normal(size=3)
    if seed < 3:
        direction = np.eye(3)[seed] + 1e-3
    direction /= np.linalg.norm(direction)
    point = 150.0 + np.arange(0, 100, 0.01)[:, None] * direction
    coords, inverse = np.unique(np.floor(point / 3).astype(int), axis=0, return_inverse=True)
    energy = np.bincount(inverse.reshape(-1)) * 0.001 * 2.1  # 2.1 MeV/cm in steps of 0.01 mm
    found = local_dedx(coords, energy, np.zeros(len(coords), dtype=np.int64), 3.0)
    assert np.average(found, weights=energy) == pytest.approx(2.1, rel=0.15)


@given(st.integers(0, 2**32 - 1))
def test_dedx_equals_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coords = rng.choice(6**3, 40, replace=False)
    coords = np.stack(np.unravel_index(coords, (6, 6, 6)), axis=1)
    energy, instance = rng.uniform(0.1, 3, 40), rng.integers(-1, 2, 40)
    found = local_dedx(coords, energy, instance, 3.0)
    for row in range(40):
        near = (np.abs(coords - coords[row]).max(axis=1) <= 1) & (instance == instance[row])
        assert found[row] == pytest.approx(energy[near].sum() / (0.9 * np.sqrt(near.sum() / 3)))


def test_electrons_of_one_voxel() -> None:
    event = voxel_event([[1, 2, 3]], 2.0)
    fixed = electrons(ChargeConfig(model="fixed", fixed=0.5), event, 3.0, 0.273)
    assert fixed[0] == pytest.approx(2e6 / 23.6 * 0.5)
    config = ChargeConfig(dx_label="dx_mm")
    measured = electrons(config, event.with_labels(dx_mm=np.array([4.0], np.float32)), 3.0, 0.273)
    assert measured[0] == pytest.approx(2e6 / 23.6 * recombination(config, np.array([5.0]), 0.273)[0])


def test_unusable_energies_and_paths_are_refused() -> None:
    for energy in (-1.0, np.nan, np.inf):
        with pytest.raises(BadEventError, match=r"made.h5 entry 3: energy of voxel 1 is"):
            electrons(ChargeConfig(), voxel_event([[0, 0, 0], [1, 1, 1]], [1.0, energy]), 3.0, 0.273)
    event = voxel_event([[0, 0, 0]])
    with pytest.raises(UserError, match="no label 'dx_mm'"):
        electrons(ChargeConfig(dx_label="dx_mm"), event, 3.0, 0.273)
    with pytest.raises(BadEventError, match="dx_mm of voxel 0 is 0"):
        electrons(ChargeConfig(dx_label="dx_mm"), event.with_labels(dx_mm=np.zeros(1, np.float32)), 3.0, 0.273)


def test_drift_by_hand() -> None:
    time = np.array([0.0, 1000.0, 2000.0])
    np.testing.assert_allclose(surviving(DriftConfig(lifetime_ms=2.0), time), np.exp([0, -0.5, -1]))
    np.testing.assert_allclose(diffusion_mm(4.0, time), 10 * np.sqrt(2 * 4.0 * time * 1e-6))
    assert diffusion_mm(3.74, np.array([2330.0]))[0] == pytest.approx(1.3, abs=0.05)  # arXiv:2104.06551: 1.3 mm


@pytest.mark.parametrize("widths", [(), (0.0,), (0.9,), (1.3, 0.0), (0.5, 0.87), (0.9, 0.001)])
@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_pixel_shares_against_numerical_integration(widths: tuple[float, ...], sigma: float) -> None:
    centre = 0.3
    spread = footprint(np.array([centre]), np.array([sigma]), widths)
    for column, share in list(enumerate(spread.weights[0]))[:: 1 if sigma < 1 else 4]:
        low = spread.first[0] + column
        assert share == pytest.approx(_integrated(low - centre, sigma, widths), abs=0.002)  # REACH cuts 0.3 %
        exact = spread_cdf(np.array([[low + 1 - centre]]), np.array([[sigma]]), widths)
        exact = exact - spread_cdf(np.array([[low - centre]]), np.array([[sigma]]), widths)
        assert exact[0, 0] == pytest.approx(_integrated(low - centre, sigma, widths), abs=1e-7)


def _integrated(low: float, sigma: float, widths: tuple[float, ...]) -> float:
    """Probability of [low, low + 1) for a gaussian smeared over boxes, by adaptive quadrature."""
    boxes = [width for width in widths if width > 0]

    def below(x: float, left: list[float]) -> float:
        if not left:
            return float(norm.cdf(low + 1 - x, scale=sigma) - norm.cdf(low - x, scale=sigma))
        edges = sorted({max(-left[0] / 2, min(left[0] / 2, p - x)) for p in (low, low + 1)})
        integral = quad(lambda b: below(x + b, left[1:]), -left[0] / 2, left[0] / 2, points=edges, epsabs=1e-9)
        return integral[0] / left[0]

    return below(0.0, boxes)


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 3)), min_size=1, max_size=8),
    st.tuples(st.floats(0, 2), st.floats(0, 2)),
)
def test_footprints_keep_charge_and_place(deposits: list[tuple[float, float]], widths: tuple[float, float]) -> None:
    centre, sigma = np.array(deposits).T
    first, weights = footprint(centre, sigma, widths)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    assert (weights > -1e-9).all()
    middle = (weights * (first[:, None] + np.arange(weights.shape[1]) + 0.5)).sum(axis=1)
    assert (np.abs(middle - centre) < 0.51).all()  # pixels are one wide
    assert (first <= centre - REACH * sigma - sum(widths) / 2).all()


def test_no_deposit_and_too_many_boxes() -> None:
    assert footprint(np.zeros(0), np.zeros(0), (1.0,)).weights.shape[0] == 0
    with pytest.raises(ValueError, match="at most two boxes"):
        spread_cdf(np.zeros((1, 1)), np.ones((1, 1)), (1.0, 1.0, 1.0))


def test_noise_of_pixels_is_standard_normal_and_depends_on_key_and_pixel_alone() -> None:
    pixel = np.arange(50_000)
    noise = pixel_normals(12345, pixel)
    assert kstest(noise, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02
    np.testing.assert_array_equal(pixel_normals(12345, pixel[::-7]), noise[::-7])
    assert abs(np.corrcoef(noise, pixel_normals(12346, pixel))[0, 1]) < 0.02


def test_excesses_have_the_number_and_the_values_of_a_dense_image() -> None:
    number, threshold, keys = 20_000, 2.5, range(200)
    found = [excesses(key, number, threshold) for key in keys]
    counts = np.array([len(pixel) for pixel, _ in found])
    tail = norm.sf(threshold)
    assert binom(number * len(keys), tail).cdf(counts.sum()) == pytest.approx(0.5, abs=0.499)
    assert counts.var() == pytest.approx(number * tail, rel=0.3)
    values = np.concatenate([value for _, value in found])
    assert values.min() >= threshold
    assert kstest(norm.sf(values) / tail, "uniform").pvalue > 1e-3
    places = np.concatenate([pixel for pixel, _ in found])
    assert kstest((places + 0.5) / number, "uniform").pvalue > 1e-3
    assert all(len(set(pixel.tolist())) == len(pixel) for pixel, _ in found)


@given(st.integers(0, 2**64 - 1), st.integers(1, 3000), st.floats(-1, 5), st.floats(0, 2))
def test_a_lower_threshold_continues_the_list(key: int, number: int, threshold: float, step: float) -> None:
    pixel, value = excesses(key, number, threshold)
    higher_pixel, higher_value = excesses(key, number, threshold + step)
    np.testing.assert_array_equal(higher_pixel, pixel[: len(higher_pixel)])
    np.testing.assert_allclose(higher_value, value[: len(higher_value)], rtol=1e-9)
    assert (value[len(higher_value) :] <= threshold + step + 1e-9).all()
    assert (np.diff(value) <= 0).all()
    assert len(set(pixel.tolist())) == len(pixel)
    assert ((pixel >= 0) & (pixel < number)).all()


def test_far_thresholds_are_never_reached() -> None:
    assert len(excesses(1, 10**7, 12.0)[0]) == 0
    assert len(excesses(1, 10**7, 1000.0)[0]) == 0
