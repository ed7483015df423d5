"""How the charge of a small box spreads over pixels: exact integrals of gaussian times boxes, vectorised."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import ndtr

__all__ = ["REACH", "Footprint", "footprint", "spread_cdf"]

REACH = 3.0
"""Standard deviations of the gaussian that are followed; the 0.3 % of the charge beyond are given to the rest."""

_SMALLEST = 1e-4
"""Widths and standard deviations below this many pixels count as it, or as a point; no pixel sees the difference."""


class Footprint(NamedTuple):
    """Share of each deposit in K neighbouring pixels of one axis.

    Attributes:
        first: the first of the pixels, may be negative.
        weights: shares; they sum to 1.
    """

    first: Int64[np.ndarray, " N"]
    weights: Float[np.ndarray, "N K"]


def footprint(centre: Float[np.ndarray, " N"], sigma: Float[np.ndarray, " N"], widths: tuple[float, ...]) -> Footprint:
    """Shares of a gaussian, smeared over boxes, in the pixels i <= x < i + 1; all lengths in pixels.

    Args:
        centre: middle of the deposit.
        sigma: standard deviation of the gaussian.
        widths: full widths of up to two boxes that the gaussian is convolved with.
    """
    reach = REACH * float(sigma.max(initial=0.0)) + sum(widths) / 2
    first = np.floor(centre - reach).astype(np.int64)
    edges = first[:, None] + np.arange(math.ceil(2 * reach) + 2)
    below = spread_cdf(edges - centre[:, None], sigma[:, None], widths)
    weights = np.diff(below, axis=1)
    return Footprint(first, weights / weights.sum(axis=1, keepdims=True))


def spread_cdf(
    x: Float[np.ndarray, "N K"], sigma: Float[np.ndarray, "N 1"], widths: tuple[float, ...]
) -> Float[np.ndarray, "N K"]:
    """Probability that sigma Z + B_1 + B_2 < x, Z standard normal, B_i uniform over [-width / 2, width / 2].

    With I_0 the normal distribution and I_n the integral of I_(n-1), I_1(u) = u I_0 + phi and
    I_2(u) = ((u^2 + 1) I_0 + u phi) / 2; a box of width a turns I_n(x) into (I_(n+1)(x + a/2) - I_(n+1)(x - a/2)) / a.

    Raises:
        ValueError: more than two boxes.
    """
    if len(widths) > 2:
        raise ValueError(f"at most two boxes, got widths {widths}")
    boxes = [width for width in widths if width > _SMALLEST]
    sigma = np.maximum(sigma, _SMALLEST)
    u = x / sigma
    if not boxes:
        return np.asarray(ndtr(u))
    half = boxes[0] / 2 / sigma
    if len(boxes) == 1:
        return np.asarray((_first(u + half) - _first(u - half)) / (2 * half))
    other = boxes[1] / 2 / sigma
    upper, lower = half + other, half - other
    second = _second(u + upper) - _second(u + lower) - _second(u - lower) + _second(u - upper)
    return np.asarray(second / (4 * half * other))


def _density(u: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi))


def _first(u: np.ndarray) -> np.ndarray:
    return np.asarray(u * ndtr(u) + _density(u))


def _second(u: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * ((u * u + 1) * ndtr(u) + u * _density(u)))
