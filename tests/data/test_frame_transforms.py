"""Preprocessing of frames against scipy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data.camera.frame_image import FrameImage
from lartpc_sparse.data.camera.frame_transforms import (
    BadPixelsConfig,
    MedianConfig,
    NoiseReductionConfig,
    RebinConfig,
    SubtractPedestalConfig,
    ThresholdConfig,
    ZeroSuppressionConfig,
    preprocess,
)
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.schema import BadEventError


def image(seed: int = 0, size: tuple[int, int] = (12, 16)) -> FrameImage:
    rng = np.random.default_rng(seed)
    mean = rng.normal(100, 1, size).astype(np.float32)
    sigma = rng.uniform(1, 3, size).astype(np.float32)
    values = (mean + sigma * rng.normal(size=size)).astype(np.float32)
    return FrameImage(EventKey("made", 0), values, mean, sigma, np.zeros(size, np.bool_))


def test_bad_pixels_read_their_pedestal() -> None:
    frame = image()
    values, bad = frame.values.copy(), frame.bad.copy()
    values[3, 4] = 5000
    bad[5, 6] = True
    found = preprocess(frame.replace(values=values, bad=bad), [BadPixelsConfig(), SubtractPedestalConfig()])
    assert found.values[3, 4] == 0
    assert found.values[5, 6] == 0
    np.testing.assert_array_equal(found.values[0], frame.values[0] - frame.mean[0])


def test_a_hot_pixel_adds_no_noise_to_the_mean_of_its_square() -> None:
    frame = image(size=(4, 8))
    sigma, bad = np.full((4, 8), 2.0, np.float32), np.zeros((4, 8), np.bool_)
    sigma[1, 1], bad[1, 1] = 300, True
    steps = [BadPixelsConfig(), SubtractPedestalConfig(), RebinConfig()]
    found = preprocess(frame.replace(sigma=sigma, bad=bad), steps)
    np.testing.assert_allclose(found.sigma, [[0.5, 0.5]], rtol=1e-6)


def test_values_that_reach_a_bad_pixel_later_have_noise() -> None:
    frame = image(size=(8, 8))
    sigma, bad = frame.sigma.copy(), frame.bad.copy()
    sigma[2, 2], bad[2, 2] = 0, True
    found = preprocess(
        frame.replace(sigma=sigma, bad=bad), [BadPixelsConfig(), SubtractPedestalConfig(), MedianConfig(size=3)]
    )
    assert found.values[2, 2] != 0
    assert found.sigma[2, 2] == np.median(sigma)


def test_zero_suppression_compares_with_the_noise_of_each_pixel() -> None:
    frame = preprocess(image(1), [SubtractPedestalConfig()])
    found = ZeroSuppressionConfig(nsigma=0.5).apply(frame)
    for place, value in np.ndenumerate(frame.values):
        assert found.values[place] == (value if value > np.float32(0.5) * frame.sigma[place] else 0)
    assert found.suppressed


@pytest.mark.parametrize("size", [2, 3])
def test_the_median_is_that_of_the_square(size: int) -> None:
    frame = image(2)
    found = MedianConfig(size=size).apply(frame)
    for row in range(1, 11):
        for column in range(1, 15):
            last = 2 if size == 3 else 1
            square = frame.values[row - 1 : row + last, column - 1 : column + last]
            assert found.values[row, column] == np.sort(square, axis=None)[size * size // 2]


@given(st.integers(0, 1000), st.sampled_from([2, 4]))
def test_rebinning_keeps_the_sum_and_scales_the_noise(seed: int, factor: int) -> None:
    frame = image(seed)
    found = RebinConfig(factor=factor).apply(frame)
    assert found.values.shape == (12 // factor, 16 // factor)
    assert found.values.sum(dtype=np.float64) * factor**2 == pytest.approx(frame.values.sum(dtype=np.float64), rel=1e-5)
    block = frame.sigma[:factor, :factor].astype(np.float64)
    assert found.sigma[0, 0] == pytest.approx(np.sqrt((block**2).sum()) / factor**2, rel=1e-5)
    assert found.factor == factor


def test_rebinning_by_what_does_not_divide_is_refused() -> None:
    with pytest.raises(BadEventError, match="cannot be rebinned by 5"):
        RebinConfig(factor=5).apply(image())


def test_noise_reduction_is_that_of_the_loop() -> None:
    rng = np.random.default_rng(5)
    values = np.where(rng.random((14, 18)) < 0.5, rng.exponential(2, (14, 18)), 0).astype(np.float32)
    values[7, 7] = 60
    config = NoiseReductionConfig(min_average=0.9, max_excess=10, min_pixels=4)
    found = config.apply(image(size=(14, 18)).replace(values=values)).values
    start = values.copy()
    start[:2] = start[-2:] = start[:, :2] = start[:, -2:] = 0
    for row in range(14):
        for column in range(18):
            if row < 2 or row > 11 or column < 2 or column > 15:
                assert found[row, column] == 0
                continue
            square = start[row - 1 : row + 2, column - 1 : column + 2].astype(np.float64)
            around = (square.sum() - square[1, 1]) / 8
            expected = around if abs(square[1, 1] - around) > 10 else square[1, 1]
            if around < 0.9 or (square > 0).sum() < 4:
                expected = 0
            assert found[row, column] == pytest.approx(expected, abs=1e-5)


def test_threshold_keeps_values_or_makes_them_one() -> None:
    frame = preprocess(image(3), [SubtractPedestalConfig()])
    kept = ThresholdConfig(min_counts=1).apply(frame)
    np.testing.assert_array_equal(kept.values, np.where(frame.values > 1, frame.values, 0))
    made = ThresholdConfig(min_counts=1, to=255).apply(frame)
    np.testing.assert_array_equal(np.unique(made.values), [0, 255])


def test_no_step_changes_the_frame_that_it_is_given() -> None:
    frame = image(4)
    before = frame.values.copy()
    steps = [BadPixelsConfig(max_counts=101.0), SubtractPedestalConfig(), ZeroSuppressionConfig(), MedianConfig()]
    preprocess(frame, [*steps, RebinConfig(), NoiseReductionConfig(), ThresholdConfig()])
    np.testing.assert_array_equal(frame.values, before)
