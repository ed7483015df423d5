"""Transforms of the energy: a threshold, the logarithm as network input, and a random scale.

They act on known energies and therefore refuse an event that `mask_boxes` has filled with candidates.
Order: `scale_energy` before `log_energy`, which turns the input feature into a logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32
from pydantic import Field, model_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, require_finite_energy, require_unmasked
from lartpc_sparse.schema import BadEventError, UserError

__all__ = [
    "EnergyThreshold",
    "EnergyThresholdConfig",
    "LogEnergy",
    "LogEnergyConfig",
    "ScaleEnergy",
    "ScaleEnergyConfig",
    "energy_features",
    "features_equal_to_energy",
    "log_scale",
]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EnergyThresholdConfig(TransformConfig):
    """Drop voxels below (and, on request, above) an energy."""

    kind: Literal["energy_threshold"] = "energy_threshold"
    min_mev: NotNegative | tuple[Positive, Positive] = Field(
        description="lowest energy kept, MeV, or intensity in 2D; or [least, most], one drawn for each event "
        "(even in the logarithm), so that a network learns to do without a certain threshold"
    )
    max_mev: Positive | None = Field(default=None, description="highest energy kept; none: no upper limit")

    @model_validator(mode="after")
    def _ordered(self) -> EnergyThresholdConfig:
        low = self.min_mev if isinstance(self.min_mev, tuple) else (self.min_mev, self.min_mev)
        if low[0] > low[1]:
            raise ValueError(f"min_mev {list(low)}: the first must not be above the last")
        if self.max_mev is not None and self.max_mev < low[1]:
            raise ValueError(f"max_mev {self.max_mev} is below min_mev {self.min_mev}; nothing would be kept")
        return self

    def build(self) -> EnergyThreshold:
        """The transform."""
        return EnergyThreshold(min_mev=self.min_mev, max_mev=self.max_mev)


@dataclass(frozen=True)
class EnergyThreshold:
    """Keep voxels with min_mev <= energy <= max_mev.

    Attributes:
        min_mev: lowest energy kept; or two, between which each event's is drawn, even in the logarithm.
        max_mev: highest energy kept, None for no limit.
    """

    min_mev: float | tuple[float, float]
    max_mev: float | None = None

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event without the other voxels.

        Raises:
            BadEventError: an energy is NaN or infinite.
            UserError: the event is masked.
        """
        require_unmasked(event, "energy_threshold")
        require_finite_energy(event)
        low = self.min_mev
        if isinstance(low, tuple):
            low = float(np.exp(rng.uniform(*np.log(low))))
        keep = event.energy >= np.float32(low)
        if self.max_mev is not None:
            keep &= event.energy <= np.float32(self.max_mev)
        return event.select(keep)


class LogEnergyConfig(TransformConfig):
    """Input feature: logarithm of the energy, scaled to -1 at zero energy and 1 at `max`."""

    kind: Literal["log_energy"] = "log_energy"
    min: Positive = Field(default=0.01, description="offset that keeps the logarithm finite at 0, MeV")
    max: Positive = Field(default=20.0, description="energy that becomes 1, MeV; higher ones exceed 1")

    def build(self) -> LogEnergy:
        """The transform."""
        return LogEnergy(min=self.min, max=self.max)


@dataclass(frozen=True)
class LogEnergy:
    """Replace the first input feature by `log_scale` of the energy; `energy` and further features stay.

    Attributes:
        min: offset, MeV.
        max: energy that becomes 1, MeV.
    """

    min: float = 0.01
    max: float = 20.0

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with the new feature.

        Raises:
            BadEventError: an energy is negative, NaN or infinite.
            UserError: the event is masked.
        """
        require_unmasked(event, "log_energy")
        require_finite_energy(event)
        negative = np.flatnonzero(event.energy < 0)
        if len(negative):
            raise BadEventError(
                f"{event.key}: energy is {event.energy[negative[0]]} at voxel "
                f"{event.coords[negative[0]].tolist()} ({len(negative)} negative energies), which has no "
                "logarithm; put energy_threshold before log_energy or set on_bad_event: skip"
            )
        feature = log_scale(event.energy, self.min, self.max)
        return event.replace(feats=np.concatenate([feature[:, None], event.feats[:, 1:]], axis=1))


def log_scale(energy: Float[np.ndarray, " N"], minimum: float, maximum: float) -> Float32[np.ndarray, " N"]:
    """2 (log10(E + min) - log10(min)) / (log10(max + min) - log10(min)) - 1: 0 becomes -1, `maximum` 1.

    With min 0.01 and max 20 MeV this is the usual input of PILArNet networks,
    2 (log10(E + 0.01) + 2) / (log10(20.01) + 2) - 1.
    """
    low = np.log10(minimum)
    scaled = (np.log10(energy.astype(np.float64) + minimum) - low) / (np.log10(maximum + minimum) - low)
    result: Float32[np.ndarray, " N"] = (2 * scaled - 1).astype(np.float32)
    return result


class ScaleEnergyConfig(TransformConfig):
    """Multiply all energies of an event by one factor: random, as an uncertain calibration would, or given."""

    kind: Literal["scale_energy"] = "scale_energy"
    sigma: NotNegative = Field(
        default=0.1, description="standard deviation of the factor's natural logarithm; 0: not random"
    )
    factor: Positive | tuple[Positive, Positive] = Field(
        default=1.0,
        description="middle of the factor: another calibration, or a unit; or [least, most], one drawn for each event "
        "(even in the logarithm), so that a network learns to do without a certain calibration",
    )

    @model_validator(mode="after")
    def _does_something(self) -> ScaleEnergyConfig:
        if isinstance(self.factor, tuple) and self.factor[0] > self.factor[1]:
            raise ValueError(f"factor {list(self.factor)}: the first must not be above the last")
        if self.sigma == 0 and self.factor == 1:
            raise ValueError("sigma 0 and factor 1 leave every energy as it is; give one of them")
        return self

    def build(self) -> ScaleEnergy:
        """The transform."""
        return ScaleEnergy(sigma=self.sigma, factor=self.factor)


@dataclass(frozen=True)
class ScaleEnergy:
    """Multiply the energy, and the features that equal it, by factor exp(sigma z), z standard normal.

    Attributes:
        sigma: spread of the factor's natural logarithm.
        factor: its middle; or two, between which each event's is drawn, even in the logarithm.
    """

    sigma: float = 0.1
    factor: float | tuple[float, float] = 1.0

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The scaled event.

        Raises:
            UserError: no feature equals the energy any more (the network would not see the change), or the
                event is masked.
        """
        scaled = energy_features(event, "scale_energy")
        middle = self.factor
        if isinstance(middle, tuple):
            middle = float(np.exp(rng.uniform(*np.log(middle))))
        factor = np.float32(middle * np.exp(self.sigma * rng.standard_normal()))
        feats = event.feats.copy()
        feats[:, scaled] *= factor
        return event.replace(energy=event.energy * factor, feats=feats)


def energy_features(event: Event, kind: str) -> Bool[np.ndarray, " C"]:
    """Which feature columns `kind`, a transform that changes energies, must change with them.

    Raises:
        UserError: no feature equals the energy any more (the network would not see the change), or the event is
            masked.
    """
    require_unmasked(event, kind)
    equal = features_equal_to_energy(event)
    if not equal.any():
        raise UserError(
            f"{event.key}: no input feature equals the energy, so {kind} would not reach the "
            "network; put it before log_energy in data.transforms"
        )
    return equal


def features_equal_to_energy(event: Event) -> Bool[np.ndarray, " C"]:
    """Which feature columns are the energy itself (all of them in an empty event)."""
    return np.array([np.array_equal(column, event.energy, equal_nan=True) for column in event.feats.T], dtype=np.bool_)
