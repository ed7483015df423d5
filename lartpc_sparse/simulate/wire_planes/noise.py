"""Noise of pixels: gaussian where there is charge, and the few empty pixels that noise lifts over the threshold.

Every number is a hash of (key, pixel) or (key, rank), so that it does not depend on what else is in the image: two
detector variations of one event have the same noise, scaled, wherever charge reaches in both.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import log_ndtr, ndtr, ndtri

__all__ = ["excesses", "pixel_normals"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_RANKS, _PLACES = np.uint64(0xD1B54A32D192ED03), np.uint64(0xABC98388FB8FAC03)
"""Separate the streams that `excesses` draws with one key; any odd numbers serve."""


def pixel_normals(key: int, pixel: Int64[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """A standard normal number for each pixel, a function of `key` and of the pixel's number alone."""
    return ndtri(_uniforms(np.uint64(key), pixel))


def excesses(key: int, num_pixels: int, threshold: float) -> tuple[Int64[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Those of `num_pixels` independent standard normals that reach `threshold`, and their values.

    Exact without drawing the others: the smallest of n uniforms come in order by Renyi's representation,
    -ln(1 - u_(k)) = sum over i <= k of E_i / (n - i + 1) with exponential E_i (Acta Math. Hung. 4 (1953) 191), and
    u = 1 - Phi(z) turns them into the largest normals. A lower threshold continues the list of a higher one.

    Returns:
        different numbers of pixels, from 0 to num_pixels - 1, and values that fall from the largest to `threshold`.
    """
    tail = float(ndtr(-threshold))
    expected = num_pixels * tail
    number = min(num_pixels, int(expected + 8 * np.sqrt(expected) + 16))
    rank = np.arange(number)
    exponentials = -np.log1p(-_uniforms(np.uint64(key) ^ _RANKS, rank))
    minus_log = np.cumsum(exponentials / (num_pixels - rank))
    inside = minus_log <= -float(log_ndtr(threshold))
    values = -ndtri(-np.expm1(-minus_log[inside]))
    return _places(np.uint64(key) ^ _PLACES, num_pixels, len(values)), np.maximum(values, threshold)


def _places(key: np.uint64, num_pixels: int, count: int) -> Int64[np.ndarray, " K"]:
    """The first `count` different numbers of a random sequence over 0..num_pixels - 1."""
    drawn = max(2 * count, 16)
    while True:
        sequence = (_uniforms(key, np.arange(drawn)) * num_pixels).astype(np.int64)
        places, first = np.unique(sequence, return_index=True)
        if len(places) >= count:
            return places[np.argsort(first)][:count]
        drawn *= 2


def _uniforms(key: np.uint64, counter: Int64[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """Uniform numbers strictly between 0 and 1: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        x = key + (counter.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * _MIX[0]
        x = (x ^ (x >> np.uint64(27))) * _MIX[1]
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53
