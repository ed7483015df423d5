"""Clusters of selected pixels of an image, and the table of what is measured of each.

Units: pixels of the sensor, although the clustered pixels may be rebinned; x is the second axis of the image (column),
y the first (row).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64
from pydantic import Field
from scipy import ndimage

from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.dbscan import dbscan
from lartpc_sparse.cluster.directional import DirectionalConfig, grow_directional
from lartpc_sparse.schema import Config, OneOf, PartConfig

__all__ = [
    "CLUSTER_COLUMNS",
    "ConnectedPixelsConfig",
    "DbscanPixelsConfig",
    "PixelClusteringConfig",
    "cluster_table",
    "footprints",
]

CLUSTER_COLUMNS = (
    "cluster",
    "integral",
    "size",
    "n_hits",
    "length",
    "width",
    "rms",
    "theta",
    "x_mean",
    "y_mean",
    "x_min",
    "x_max",
    "y_min",
    "y_max",
)

logger = logging.getLogger("lartpc_sparse")


class PixelMethodConfig(PartConfig, ABC):
    """Base of the ways from pixels to clusters."""

    @abstractmethod
    def find(self, coords: Int32[np.ndarray, "N 2"], intensity: Float32[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Cluster of each pixel, -1 for none."""


class ConnectedPixelsConfig(PixelMethodConfig):
    """Pixels that touch by edge or corner."""

    kind: Literal["connected"] = "connected"

    def find(self, coords: Int32[np.ndarray, "N 2"], intensity: Float32[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """See `PixelMethodConfig.find`."""
        del intensity
        return connected_components(coords)


class DbscanPixelsConfig(PixelMethodConfig):
    """DBSCAN; eps 18 and min_samples 20 are those of the study of pixel selection."""

    kind: Literal["dbscan"] = "dbscan"
    eps: float = Field(18.0, gt=0, description="neighbours lie within this distance, pixels as they are clustered")
    min_samples: int = Field(20, ge=1, description="sum of weights (or number of pixels) that makes a core")
    metric: Literal["cityblock", "euclidean"] = "cityblock"
    weighted: bool = Field(True, description="a pixel weighs its intensity, at least 1; else every pixel weighs 1")

    def find(self, coords: Int32[np.ndarray, "N 2"], intensity: Float32[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """See `PixelMethodConfig.find`."""
        weights = np.maximum(np.floor(intensity), 1.0) if self.weighted else None
        return dbscan(coords, self.eps, self.min_samples, metric=self.metric, weights=weights)


class PixelClusteringConfig(Config):
    """How pixels become clusters, and what is measured of them."""

    method: Annotated[PixelMethodConfig, OneOf(ConnectedPixelsConfig, DbscanPixelsConfig)] = DbscanPixelsConfig()
    directional: DirectionalConfig | None = Field(None, description="let long clusters grow along their line")
    min_pixels: int = Field(1, ge=1, description="smaller clusters are dropped; pixels as they are clustered")
    min_intensity: float = Field(0.0, ge=0, description="clusters with a smaller sum of pixel values are dropped")
    grow: int = Field(0, ge=0, description="rings of pixels around a cluster that its integral includes")
    binning: int = Field(4, ge=1, description="sensor pixels along each axis of a pixel here; as rebin of the reader")
    max_pixels: int = Field(
        60000, ge=1, description="an image with more pixels is not clustered (DBSCAN would need GBs), with a warning"
    )

    def find(self, coords: Int32[np.ndarray, "N 2"], intensity: Float32[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """Cluster of each pixel, numbered from 0 without gaps; -1 for none."""
        if len(coords) > self.max_pixels:
            logger.warning(
                "an image has %d pixels to cluster, more than max_pixels %d: it gets no cluster",
                len(coords),
                self.max_pixels,
            )
            return np.full(len(coords), -1, dtype=np.int64)
        labels = self.method.find(coords, intensity)
        if self.directional is not None:
            labels = grow_directional(coords, intensity, labels, self.directional)
        kept = labels >= 0
        number = int(labels.max(initial=-1)) + 1
        pixels = np.bincount(labels[kept], minlength=number)
        total = np.bincount(labels[kept], weights=intensity[kept], minlength=number)
        good = (pixels >= self.min_pixels) & (total >= self.min_intensity)
        renumbered = np.append(np.where(good, np.cumsum(good) - 1, -1), -1)
        result: Int64[np.ndarray, " N"] = renumbered[labels].astype(np.int64)
        return result


def footprints(
    coords: Int32[np.ndarray, "N 2"], labels: Int[np.ndarray, " N"], rings: int, size: tuple[int, int]
) -> Int64[np.ndarray, "H W"]:
    """Image of the clusters with `rings` of pixels around each; a pixel between two goes to the higher number."""
    image = np.full(size, -1, dtype=np.int64)
    image[coords[:, 0], coords[:, 1]] = labels
    for _ in range(rings):
        wider = ndimage.maximum_filter(image, size=3, mode="constant", cval=-1)
        image = np.where(image >= 0, image, wider)
    return image


def cluster_table(
    coords: Int32[np.ndarray, "N 2"],
    values: Float32[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    config: PixelClusteringConfig,
    size: tuple[int, int],
) -> dict[str, np.ndarray]:
    """What is measured of every cluster, columns `CLUSTER_COLUMNS`.

    `integral` is the sum of counts over all sensor pixels of the footprint (cluster and rings), not suppressed; `size`
    their number; `n_hits` the clustered pixels with a value above 0; `length` and `width` the longer and the shorter
    extent along the principal axes; `rms` the standard deviation of the values; `theta` the angle of the length to x,
    -pi/2..pi/2. Weights of mean and axes are the values above 0.

    Args:
        coords: every pixel with a value, clustered or not.
        values: mean counts above the pedestal of a sensor pixel.
        labels: cluster of each pixel, from 0; -1 for none. A number without a pixel has a row of zeros.
        config: binning and rings.
        size: of the image.
    """
    number = int(labels.max(initial=-1)) + 1
    table = {name: np.zeros(number, dtype=np.float32) for name in CLUSTER_COLUMNS}
    table["cluster"] = np.arange(number, dtype=np.int32)
    if number == 0:
        return table
    wide = footprints(coords, labels, config.grow, size)[coords[:, 0], coords[:, 1]] if config.grow else labels
    area = config.binning**2
    inside = wide >= 0
    table["integral"] = np.bincount(wide[inside], weights=values[inside] * area, minlength=number).astype(np.float32)
    table["size"] = (np.bincount(wide[inside], minlength=number) * area).astype(np.float32)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(number + 1))
    for cluster in range(number):
        rows = order[starts[cluster] : starts[cluster + 1]]
        if not len(rows):  # its pixels are not among those of the event: another way of suppression found it
            continue
        for name, value in _shape(coords[rows], values[rows], config.binning).items():
            table[name][cluster] = value
    return table


def _shape(coords: np.ndarray, values: np.ndarray, binning: int) -> dict[str, float]:
    xy = (coords[:, ::-1] + 0.5) * binning
    weight = np.maximum(values.astype(np.float64), 0)
    weight = weight if weight.sum() > 0 else np.ones(len(xy))
    mean = np.average(xy, axis=0, weights=weight)
    centred = xy - mean
    covariance = (centred * weight[:, None]).T @ centred / weight.sum()
    axes = np.linalg.eigh(covariance)[1]
    along, across = centred @ axes[:, 1], centred @ axes[:, 0]
    theta = float(np.arctan2(axes[1, 1], axes[0, 1]))
    if np.ptp(across) > np.ptp(along):  # nearly round: the weights have one longer axis, the outline the other
        along, across, theta = across, along, theta + np.pi / 2
    theta -= np.pi * np.round(theta / np.pi)
    low, high = (coords.min(axis=0) * binning)[::-1], ((coords.max(axis=0) + 1) * binning)[::-1]
    return {
        "n_hits": float((values > 0).sum()),
        "length": float(np.ptp(along)) + binning,
        "width": float(np.ptp(across)) + binning,
        "rms": float(values.std()),
        "theta": theta,
        "x_mean": float(mean[0]),
        "y_mean": float(mean[1]),
        "x_min": float(low[0]),
        "x_max": float(high[0]),
        "y_min": float(low[1]),
        "y_max": float(high[1]),
    }
