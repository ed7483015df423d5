"""Transforms: what happens to an event between the reader and the batch. Contents; each name lives in its file."""

from lartpc_sparse.data.transforms.base import Transform, TransformConfig
from lartpc_sparse.data.transforms.crop import Crop, CropConfig
from lartpc_sparse.data.transforms.dead_regions import DeadRegions, DeadRegionsConfig, RandomRegionsConfig
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
from lartpc_sparse.data.transforms.jitter import Jitter, JitterConfig
from lartpc_sparse.data.transforms.mask import Mask, MaskConfig
from lartpc_sparse.data.transforms.mask_boxes import (
    MaskBoxes,
    MaskBoxesConfig,
    add_empty_mask,
    mask_event,
    rows_of,
)
from lartpc_sparse.data.transforms.merge_duplicates import MergeDuplicates, MergeDuplicatesConfig
from lartpc_sparse.data.transforms.rotate90 import Rotate90, Rotate90Config
from lartpc_sparse.data.transforms.significance import Significance, SignificanceConfig
from lartpc_sparse.data.transforms.smear_energy import SmearEnergy, SmearEnergyConfig
from lartpc_sparse.data.transforms.voxel_loss import RandomVoxelLoss, RandomVoxelLossConfig

__all__ = [
    "Crop",
    "CropConfig",
    "DeadRegions",
    "DeadRegionsConfig",
    "EnergyThreshold",
    "EnergyThresholdConfig",
    "Flip",
    "FlipConfig",
    "Jitter",
    "JitterConfig",
    "LogEnergy",
    "LogEnergyConfig",
    "Mask",
    "MaskBoxes",
    "MaskBoxesConfig",
    "MaskConfig",
    "MergeDuplicates",
    "MergeDuplicatesConfig",
    "PermuteAxes",
    "PermuteAxesConfig",
    "RandomRegionsConfig",
    "RandomVoxelLoss",
    "RandomVoxelLossConfig",
    "Rotate90",
    "Rotate90Config",
    "ScaleEnergy",
    "ScaleEnergyConfig",
    "Significance",
    "SignificanceConfig",
    "SmearEnergy",
    "SmearEnergyConfig",
    "Transform",
    "TransformConfig",
    "Translate",
    "TranslateConfig",
    "add_empty_mask",
    "mask_event",
    "rows_of",
]
