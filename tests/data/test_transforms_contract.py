"""Every transform under the contract of `transform_contract.py`."""

from __future__ import annotations

from typing import get_args

import pytest
from transform_contract import TransformContract

from lartpc_sparse.data.pipeline import TransformField
from lartpc_sparse.data.transforms import (
    CropConfig,
    DeadRegionsConfig,
    EnergyThresholdConfig,
    FlipConfig,
    JitterConfig,
    LogEnergyConfig,
    MaskBoxesConfig,
    MaskConfig,
    MergeDuplicatesConfig,
    PermuteAxesConfig,
    RandomRegionsConfig,
    RandomVoxelLossConfig,
    Rotate90Config,
    ScaleEnergyConfig,
    SignificanceConfig,
    SmearEnergyConfig,
    TransformConfig,
    TranslateConfig,
)


class TestFlip(TransformContract):
    keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return FlipConfig(probability=0.7)


class TestPermuteAxes(TransformContract):
    cubic = keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return PermuteAxesConfig()


class TestRotate90(TransformContract):
    cubic = keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return Rotate90Config()


class TestRotate90OfTwoAxes(TransformContract):
    cubic = keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return Rotate90Config(axes=(dim - 1, 0))


class TestTranslate(TransformContract):
    keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return TranslateConfig(max_shift=3)

    @pytest.mark.parametrize("image_size", [(32, 32)])
    def test_it_does_something_and_not_always_the_same(self, image_size: tuple[int, ...]) -> None:
        """An event that fills its image cannot move; see test_transforms_geometry.py."""


class TestCrop(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return CropConfig(size=4)


class TestCropAroundAnInstance(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return CropConfig(size=4, center="instance")


class TestSignificance(TransformContract):
    keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return SignificanceConfig(noise=2.0)


class TestCropToOrigin(TransformContract):
    keeps_image = False

    def config(self, dim: int) -> TransformConfig:
        return CropConfig(size=(3, 5, 4)[:dim], center="random", shift_to_origin=True)


class TestMergeDuplicates(TransformContract):
    joins = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return MergeDuplicatesConfig()


class TestMergeDuplicatesByPriority(TransformContract):
    joins = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return MergeDuplicatesConfig(priority=("delta", "track"))


class TestJitter(TransformContract):
    joins = keeps_energy = True
    rigid = False

    def config(self, dim: int) -> TransformConfig:
        return JitterConfig(max_shift=2, probability=0.6)


class TestEnergyThreshold(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return EnergyThresholdConfig(min_mev=1.5)


class TestDrawnEnergyThreshold(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return EnergyThresholdConfig(min_mev=(0.5, 2.5))


class TestLogEnergy(TransformContract):
    keeps_rows = keeps_energy = True

    def config(self, dim: int) -> TransformConfig:
        return LogEnergyConfig()


class TestScaleEnergy(TransformContract):
    keeps_rows = changes_energy = True

    def config(self, dim: int) -> TransformConfig:
        return ScaleEnergyConfig()


class TestSmearEnergy(TransformContract):
    keeps_rows = changes_energy = True

    def config(self, dim: int) -> TransformConfig:
        return SmearEnergyConfig(relative=0.2, absolute_mev=0.5)


class TestRandomVoxelLoss(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return RandomVoxelLossConfig(probability=0.4)


class TestRandomVoxelLossByEnergy(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return RandomVoxelLossConfig(probability=0.9, energy_mev=2.0)


class TestMask(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return MaskConfig(block=(3, 2, 1)[:dim], probability=0.5)


class TestDeadRegions(TransformContract):
    def config(self, dim: int) -> TransformConfig:
        return DeadRegionsConfig(
            fixed=(((0, 0), *[None] * (dim - 1)),),
            random=(
                RandomRegionsConfig(axes=(dim - 1,), width=(1, 2)),
                RandomRegionsConfig(count=(0, 2), width=(2, 4)),
            ),
        )


class TestMaskBoxes(TransformContract):
    adds = changes_energy = True

    def config(self, dim: int) -> TransformConfig:
        return MaskBoxesConfig(size=3)


def test_every_kind_of_a_chain_is_under_the_contract() -> None:
    tested = {type(contract().config(3)) for contract in TransformContract.__subclasses__()}
    union = get_args(TransformField)[1]
    assert {*union.configs, MaskBoxesConfig} <= tested
