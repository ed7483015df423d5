"""Detector variations: named presets, each a set of factors on the nominal detector."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from lartpc_sparse.schema import Config

__all__ = ["VARIATIONS", "VariationConfig", "VariationField", "VariationName", "variation_of"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class VariationConfig(Config):
    """Factors on the nominal parameters; 1 leaves a parameter as it is."""

    gain: Positive = Field(default=1.0, description="on the intensity of the charge, not of the noise")
    noise: NotNegative = Field(default=1.0, description="on the standard deviation of the noise")
    response_width: NotNegative = Field(default=1.0, description="on both widths of the wire response")
    longitudinal_diffusion: NotNegative = Field(default=1.0, description="on the diffusion coefficient along the drift")
    transverse_diffusion: NotNegative = Field(default=1.0, description="on the diffusion coefficient across the drift")
    lifetime: Positive = Field(default=1.0, description="on the lifetime of the electrons")
    recombination: Positive = Field(default=1.0, description="on beta of the modified box, or on k of Birks")
    distortion_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        default=(0.0, 0.0, 0.0), description="amplitudes of the displacement map along x, y and z, mm"
    )


VariationName = Literal[
    "none",
    "gain_up",
    "gain_down",
    "noise_up",
    "noise_down",
    "response_wide",
    "response_narrow",
    "longitudinal_diffusion_up",
    "longitudinal_diffusion_down",
    "transverse_diffusion_up",
    "transverse_diffusion_down",
    "recombination_up",
    "recombination_down",
    "lifetime_short",
    "field_distortion",
]

VARIATIONS: Mapping[VariationName, VariationConfig] = MappingProxyType(
    {
        "none": VariationConfig(),
        "gain_up": VariationConfig(gain=1.1),
        "gain_down": VariationConfig(gain=0.9),
        "noise_up": VariationConfig(noise=1.2),
        "noise_down": VariationConfig(noise=0.8),
        "response_wide": VariationConfig(response_width=1.25),
        "response_narrow": VariationConfig(response_width=0.75),
        "longitudinal_diffusion_up": VariationConfig(longitudinal_diffusion=1.5),
        "longitudinal_diffusion_down": VariationConfig(longitudinal_diffusion=0.5),
        "transverse_diffusion_up": VariationConfig(transverse_diffusion=1.5),
        "transverse_diffusion_down": VariationConfig(transverse_diffusion=0.5),
        "recombination_up": VariationConfig(recombination=1.1),
        "recombination_down": VariationConfig(recombination=0.9),
        "lifetime_short": VariationConfig(lifetime=0.3),
        "field_distortion": VariationConfig(distortion_mm=(20.0, 100.0, 50.0)),
    }
)
"""The sizes are assumed, about what experiments vary; a chain may give any others."""


VariationField = VariationName | VariationConfig


def variation_of(field: VariationField) -> VariationConfig:
    """The variation that a chain names or describes."""
    return VARIATIONS[field] if isinstance(field, str) else field
