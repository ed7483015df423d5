"""What a detector with wire planes looks like: sizes, wires, time pixels; MicroBooNE and a cube as presets.

Coordinates in mm: x is the drift axis, from 0 to its length; y is vertical, 0 in the middle of the height; z runs
along the beam, from 0 to its length.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lartpc_sparse.schema import Config

__all__ = ["DETECTORS", "DetectorConfig", "DetectorField", "PlaneConfig", "detector_of"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PlaneConfig(Config):
    """One plane of parallel wires."""

    name: str = Field(min_length=1, description="name of the plane's images")
    angle_deg: float = Field(
        gt=-90, lt=90, description="of the wires to the vertical, positive where they lean to larger z; degrees"
    )
    num_wires: int = Field(
        gt=0, description="wires, centred on the middle of the plane; image columns beyond are empty"
    )
    pitch_mm: Positive = Field(default=3.0, description="distance of two neighbouring wires, mm")
    response_wire_mm: NotNegative = Field(
        default=0.8, description="standard deviation of the response across wires after signal processing, mm"
    )
    response_time_mm: NotNegative = Field(
        default=1.5, description="standard deviation of the response along the drift after signal processing, mm"
    )
    noise_electrons: NotNegative = Field(
        default=300.0, description="standard deviation of the noise of a pixel after signal processing, electrons"
    )


class DetectorConfig(Config):
    """A drift volume, a box, read out by wire planes at one of its two x faces."""

    name: str = Field(min_length=1, description="written into the files")
    size_mm: tuple[Positive, Positive, Positive] = Field(description="drift length, height and length, mm")
    anode: Literal["low_x", "high_x"] = Field(
        default="low_x", description="side of the wires; time pixels grow with the distance from it"
    )
    field_kv_cm: Positive = Field(default=0.273, description="drift field, kV/cm")
    velocity_mm_us: Positive = Field(default=1.1, description="drift velocity of the electrons, mm/us")
    time_pixel_mm: Positive = Field(default=3.3, description="drift distance of one time pixel, mm")
    first_row: float = Field(
        default=0.0, allow_inf_nan=False, description="time pixel (not rounded) of charge that starts at the anode"
    )
    image_size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = Field(
        description="wires and time pixels of an image, the same for all planes"
    )
    planes: tuple[PlaneConfig, ...] = Field(min_length=1, description="the wire planes")

    @model_validator(mode="after")
    def _planes_fit(self) -> DetectorConfig:
        names = [plane.name for plane in self.planes]
        if len(set(names)) != len(names):
            raise ValueError(f"planes have the names {names}; every plane needs a name of its own")
        for plane in self.planes:
            if plane.num_wires > self.image_size[0]:
                raise ValueError(
                    f"plane {plane.name} has {plane.num_wires} wires, but an image has {self.image_size[0]} columns"
                )
        return self


def _microboone() -> DetectorConfig:
    """MicroBooNE (arXiv:2012.08513, section I; arXiv:1612.05824).

    An image starts 800 ticks before the trigger (public deep-learning images begin at tick 2400, the trigger is at
    3200) and has 6 ticks a time pixel: charge at the anode is in row 800 / 6. Noise: 400 electrons on the induction
    planes and 300 on the collection plane (arXiv:1705.07341). The response widths are assumed.
    """
    return DetectorConfig(
        name="microboone",
        size_mm=(2560.0, 2330.0, 10370.0),
        first_row=800 / 6,
        image_size=(3456, 1008),
        planes=(
            PlaneConfig(name="u", angle_deg=60.0, num_wires=2400, noise_electrons=400.0),
            PlaneConfig(name="v", angle_deg=-60.0, num_wires=2400, noise_electrons=400.0),
            PlaneConfig(name="y", angle_deg=0.0, num_wires=3456, noise_electrons=300.0),
        ),
    )


def _cube() -> DetectorConfig:
    """A cube of 768 voxels of 3 mm with MicroBooNE's wires, field and time pixels."""
    return DetectorConfig(
        name="cube",
        size_mm=(2304.0, 2304.0, 2304.0),
        first_row=2.0,
        image_size=(1056, 704),
        planes=(
            PlaneConfig(name="u", angle_deg=60.0, num_wires=1050, noise_electrons=400.0),
            PlaneConfig(name="v", angle_deg=-60.0, num_wires=1050, noise_electrons=400.0),
            PlaneConfig(name="y", angle_deg=0.0, num_wires=768, noise_electrons=300.0),
        ),
    )


DETECTORS = {"microboone": _microboone, "cube": _cube}
"""Named detectors; call one to get it."""

DetectorField = Literal["microboone", "cube"] | DetectorConfig


def detector_of(field: DetectorField) -> DetectorConfig:
    """The detector that a chain names or describes."""
    return DETECTORS[field]() if isinstance(field, str) else field
