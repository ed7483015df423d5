"""What the signal head is measured by, and the classical chain beside it."""

from __future__ import annotations

from pydantic import Field

from lartpc_sparse.cluster.pixels import PixelClusteringConfig
from lartpc_sparse.data.camera.frame_transforms import (
    BadPixelsConfig,
    FrameTransformField,
    MedianConfig,
    NoiseReductionConfig,
    RebinConfig,
    SubtractPedestalConfig,
    ThresholdConfig,
    ZeroSuppressionConfig,
)
from lartpc_sparse.schema import Config

__all__ = ["ClassicalChainConfig", "SignalEvaluationConfig"]


class ClassicalChainConfig(Config):
    """Reconstruction without a network, on the same frames: winter23 of CYGNUS-RD/reconstruction.

    nsigma 0.2, eps 18 and min_samples 20 are those of the study of pixel selection; the noise reduction is that of the
    public configuration for simulated frames, and pixels that round to 0 are dropped as there.
    """

    preprocess: tuple[FrameTransformField, ...] = Field(
        (
            BadPixelsConfig(),
            SubtractPedestalConfig(),
            ZeroSuppressionConfig(),
            MedianConfig(),
            RebinConfig(),
            NoiseReductionConfig(),
            ThresholdConfig(min_counts=0.5),
        ),
        description="steps from the frame to the pixels that are clustered; they must rebin as the reader does",
    )
    clusters: PixelClusteringConfig = Field(PixelClusteringConfig(), description="DBSCAN, weighted, cityblock")
    max_pixels: int = Field(
        60000, ge=1, description="a frame with more pixels is not clustered (DBSCAN would need GBs): nothing found"
    )


class SignalEvaluationConfig(Config):
    """How clusters are compared with the true recoils."""

    energies_kev: tuple[float, ...] = Field(
        (0.25, 0.5, 1.0, 3.0, 6.0, 10.0, 30.0, 60.0),
        min_length=1,
        description="a recoil counts at the nearest of these in the logarithm",
    )
    min_share: float = Field(
        0.3, gt=0, le=1, description="of the light of a recoil that a cluster must hold to have found it"
    )
    min_purity: float = Field(
        0.1, ge=0, le=1, description="share of signal pixels below which a cluster is a fake and finds nothing"
    )
    level: float = Field(0.95, gt=0, lt=1, description="of the Clopper-Pearson intervals")
    classical: ClassicalChainConfig | None = Field(
        None, description="run the classical chain on the same frames; needs the reader `frames`"
    )
    examples: int = Field(6, ge=0, le=40, description="recoils whose surroundings the report shows")
