"""Gaps between the modules and TPCs of a detector, and its cathodes; named geometries in YAML."""

from __future__ import annotations

import itertools
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from jaxtyping import Int32, Int64
from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from lartpc_sparse.data.regions.base import RegionConfig
from lartpc_sparse.schema import Config, UserError

__all__ = ["DetectorGapsConfig", "Geometry", "GeometryAxis", "geometry_names"]

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Part = Literal["gap", "cathode"]


class GeometryAxis(Config):
    """The detector along one axis: modules with gaps between them, each of TPCs with a cathode between them."""

    modules: PositiveInt = Field(1, description="number of modules")
    tpcs: PositiveInt = Field(1, description="TPCs of a module along this axis")
    tpc_cm: PositiveFloat = Field(description="active length of a TPC, cm")
    cathode_cm: NotNegative = Field(0.0, description="between two TPCs of a module, cm")
    gap_cm: NotNegative = Field(0.0, description="between two modules, cm")

    @property
    def module_cm(self) -> float:
        """Length of a module."""
        return self.tpcs * self.tpc_cm + (self.tpcs - 1) * self.cathode_cm

    @property
    def period_cm(self) -> float:
        """From the start of a module to that of the next."""
        return self.module_cm + self.gap_cm

    @property
    def length_cm(self) -> float:
        """Of the whole detector."""
        return self.modules * self.period_cm - self.gap_cm

    def gaps_cm(self, modules: range, parts: tuple[Part, ...]) -> list[tuple[float, float]]:
        """Begin and end of what is missing in and behind the given modules; module 0 begins at 0."""
        found = []
        for module in modules:
            start = module * self.period_cm
            for tpc in range(1, self.tpcs):
                if "cathode" in parts and self.cathode_cm > 0:
                    begin = start + tpc * self.tpc_cm + (tpc - 1) * self.cathode_cm
                    found.append((begin, begin + self.cathode_cm))
            if "gap" in parts and self.gap_cm > 0:
                found.append((start + self.module_cm, start + self.period_cm))
        return found


class Geometry(Config):
    """A detector, axis by axis in the order of the image."""

    axes: tuple[GeometryAxis, ...] = Field(min_length=1, description="one for each axis of the image")


def geometry_names() -> tuple[str, ...]:
    """The geometries of the package."""
    folder = files("lartpc_sparse") / "data" / "regions" / "geometries"
    return tuple(sorted(Path(str(item)).stem for item in folder.iterdir() if item.name.endswith(".yaml")))


def _load(name: str) -> Geometry:
    path = Path(str(files("lartpc_sparse") / "data" / "regions" / "geometries" / f"{name}.yaml"))
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise UserError(
            f"detector_gaps.geometry is {name!r}: neither a geometry of the package ({', '.join(geometry_names())}) "
            "nor a YAML file"
        )
    try:
        return Geometry.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path} is no geometry: {error}") from error


class DetectorGapsConfig(RegionConfig):
    """Module, TPC and cathode gaps of a detector, as slabs through the image."""

    kind: Literal["detector_gaps"] = "detector_gaps"
    geometry: str | Geometry = Field(
        "dune_2x2", description="dune_2x2, nd_lar, the path of a YAML file, or `axes` written out"
    )
    voxel_mm: PositiveFloat = Field(3.0, description="edge of a voxel, mm")
    parts: tuple[Part, ...] = Field(("gap", "cathode"), min_length=1, description="what is missing")
    shift: Literal["random", "centred"] | tuple[float, ...] = Field(
        "random",
        description="random: the pattern is moved by up to a period along each axis, anew for each event; centred: the "
        "detector in the middle of the image; or the place of its first wall along each axis, cm",
    )
    repeat: bool = Field(
        False, description="the pattern goes on beyond the detector, through the whole image (always with random)"
    )

    @model_validator(mode="after")
    def _shift_fits(self) -> DetectorGapsConfig:
        axes = None if isinstance(self.geometry, str) else self.geometry.axes
        if isinstance(self.shift, tuple) and axes is not None and len(self.shift) != len(axes):
            raise ValueError(f"shift has {len(self.shift)} numbers for {len(axes)} axes")
        return self

    def detector(self) -> Geometry:
        """The geometry.

        Raises:
            UserError: there is none of that name, or its file is damaged.
        """
        return _load(self.geometry) if isinstance(self.geometry, str) else self.geometry

    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """See `RegionConfig.boxes`. A layer is missing where its middle lies in a gap; at least one layer a gap."""
        del coords
        detector = self.detector()
        if len(detector.axes) != len(image_size):
            raise UserError(
                f"the geometry has {len(detector.axes)} axes, the images have {len(image_size)}; write its axes out"
            )
        if isinstance(self.shift, tuple) and len(self.shift) != len(image_size):
            raise UserError(
                f"detector_gaps.shift has {len(self.shift)} numbers, the images have {len(image_size)} axes"
            )
        boxes = []
        for number, (axis, size) in enumerate(zip(detector.axes, image_size, strict=True)):
            for first, beyond in self._layers(axis, number, size, rng):
                box = np.stack([np.zeros(len(image_size), dtype=np.int64), np.array(image_size, dtype=np.int64)])
                box[:, number] = first, beyond
                boxes.append(box)
        return np.array(boxes, dtype=np.int64).reshape(len(boxes), 2, len(image_size))

    def _layers(self, axis: GeometryAxis, number: int, size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        voxel_cm = self.voxel_mm / 10
        length = size * voxel_cm
        if self.shift == "random":
            start = -float(rng.uniform(0, axis.period_cm))
        elif self.shift == "centred":
            start = (length - axis.length_cm) / 2
        else:
            start = self.shift[number]
        endless = self.repeat or self.shift == "random"
        if endless:
            modules = range(int(-start // axis.period_cm) - 1, int((length - start) // axis.period_cm) + 1)
        else:
            modules = range(axis.modules)
        gaps = axis.gaps_cm(modules, self.parts)
        if not endless:
            gaps = [gap for gap in gaps if gap[1] < axis.length_cm]  # none behind the last module
        layers = []
        for begin, end in gaps:
            first = int(np.ceil((start + begin) / voxel_cm - 0.5))
            beyond = max(int(np.ceil((start + end) / voxel_cm - 0.5)), first + 1)
            if beyond > 0 and first < size:
                layers.append((max(first, 0), min(beyond, size)))
        # neighbouring gaps never overlap unless a TPC is thinner than a voxel
        return [layer for layer, after in itertools.zip_longest(layers, layers[1:]) if after is None or layer != after]
