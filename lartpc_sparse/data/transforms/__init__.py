"""Transforms: what happens to an event between the reader and the batch. Contents; each name lives in its file."""

from lartpc_sparse.data.transforms.base import Transform, TransformConfig
from lartpc_sparse.data.transforms.crop import Crop, CropConfig
from lartpc_sparse.data.transforms.energy import (
    EnergyThreshold,
    EnergyThresholdConfig,
    LogEnergy,
    LogEnergyConfig,
    ScaleEnergy,
    ScaleEnergyConfig,
)
from lartpc_sparse.data.transforms.geometry import (
    Flip,
    FlipConfig,
    PermuteAxes,
    PermuteAxesConfig,
    Translate,
    TranslateConfig,
)
from lartpc_sparse.data.transforms.mask_boxes import MaskBoxes, MaskBoxesConfig, add_empty_mask
from lartpc_sparse.data.transforms.merge_duplicates import MergeDuplicates, MergeDuplicatesConfig

__all__ = [
    "Crop",
    "CropConfig",
    "EnergyThreshold",
    "EnergyThresholdConfig",
    "Flip",
    "FlipConfig",
    "LogEnergy",
    "LogEnergyConfig",
    "MaskBoxes",
    "MaskBoxesConfig",
    "MergeDuplicates",
    "MergeDuplicatesConfig",
    "PermuteAxes",
    "PermuteAxesConfig",
    "ScaleEnergy",
    "ScaleEnergyConfig",
    "Transform",
    "TransformConfig",
    "Translate",
    "TranslateConfig",
    "add_empty_mask",
]
