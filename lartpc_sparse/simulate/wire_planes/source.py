"""The source `wire_planes`: 3D events as images of wire planes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from lartpc_sparse.data.dataset import event_rng
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.pipeline import ReaderField
from lartpc_sparse.schema import OneOf, UserError
from lartpc_sparse.simulate.base import SourceConfig, Stream
from lartpc_sparse.simulate.geant4 import Geant4Config
from lartpc_sparse.simulate.wire_planes.charge import ChargeConfig, electrons
from lartpc_sparse.simulate.wire_planes.detector import DetectorField, PlaneConfig, detector_of
from lartpc_sparse.simulate.wire_planes.drift import DriftConfig, diffusion_mm, distort, surviving
from lartpc_sparse.simulate.wire_planes.events import ReaderEvents, SourceEvents, VoxelEvents
from lartpc_sparse.simulate.wire_planes.footprint import Footprint
from lartpc_sparse.simulate.wire_planes.geometry import active, drift_distance
from lartpc_sparse.simulate.wire_planes.placement import PlacementConfig, corner_mm
from lartpc_sparse.simulate.wire_planes.projection import Charges, PlaneImage, overlay, time_footprint, wire_footprint
from lartpc_sparse.simulate.wire_planes.readout import ReadoutConfig, read_out
from lartpc_sparse.simulate.wire_planes.truth import (
    Clusters,
    LabelConfig,
    class_ranks,
    clusters_of,
    leading_deposits,
    pixel_labels,
)
from lartpc_sparse.simulate.wire_planes.variation import VariationField, variation_of
from lartpc_sparse.simulate.wire_planes.vertices import plane_positions

__all__ = ["WirePlanes", "WirePlanesConfig"]

_STREAM = int.from_bytes(b"wires", "big")
"""Takes the place of the epoch in `event_rng`, so that no augmentation draws the same numbers."""


class WirePlanesConfig(SourceConfig):
    """3D events, of a reader or of another source, as images of wire planes."""

    kind: Literal["wire_planes"] = "wire_planes"
    reader: ReaderField | None = Field(default=None, description="reads the 3D events; or else `generator`")
    generator: Annotated[SourceConfig, OneOf(Geant4Config)] | None = Field(
        default=None, description="source that makes the 3D events; or else `reader`"
    )
    stream: str = Field(default="events", min_length=1, description="stream of `generator`")
    repeat: bool = Field(default=False, description="let `reader` begin again after its last event")
    voxel_size_mm: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="edge of a 3D voxel, mm; none: as the events say"
    )
    smear: Literal["uniform", "random", "none"] = Field(
        default="uniform",
        description="charge of a voxel: spread over it, at one random point of it, or at its middle",
    )
    detector: DetectorField = Field(default="microboone", description="a name, or sizes, wires and time pixels")
    placement: PlacementConfig = Field(default_factory=PlacementConfig, description="where the voxels stand in it")
    charge: ChargeConfig = Field(default_factory=ChargeConfig, description="ionisation electrons")
    drift: DriftConfig = Field(default_factory=DriftConfig, description="losses and spread on the way")
    readout: ReadoutConfig = Field(default_factory=ReadoutConfig, description="gain and threshold")
    labels: LabelConfig = Field(default_factory=LabelConfig, description="class and cluster of shared pixels")
    variation: VariationField = Field(default="none", description="detector variation: a name, or factors")

    @model_validator(mode="after")
    def _one_origin(self) -> WirePlanesConfig:
        if (self.reader is None) == (self.generator is None):
            raise ValueError("give either `reader` or `generator`: where the 3D events come from")
        size, shift = detector_of(self.detector).size_mm, variation_of(self.variation).distortion_mm
        limits = (size[0] / 4, size[1] / 2, size[2] / 2)
        if any(abs(a) >= limit for a, limit in zip(shift, limits, strict=True)):
            raise ValueError(f"distortion_mm {list(shift)} folds the detector; stay below {list(limits)}")
        return self

    def files(self) -> tuple[str, ...]:
        """See `SourceConfig.files`."""
        if self.reader is not None:
            return self.reader.build().files
        return () if self.generator is None else self.generator.files()

    def build(self) -> WirePlanes:
        """Open the reader, or build the other source.

        Raises:
            UserError: events that are not 3D, of unknown voxel size, with classes that have no priority, or what
                the reader or the source raises.
        """
        if self.reader is not None:
            return WirePlanes(self, ReaderEvents(self.reader.build(), repeat=self.repeat))
        assert self.generator is not None  # the validator has seen to it
        return WirePlanes(self, SourceEvents(self.generator.build(), self.stream))


class WirePlanes:
    """Images of every wire plane of a detector for 3D events.

    An event is a function of seed, index and configuration. Place, smearing and noise are drawn from seed and index
    alone, so that the same event under two variations differs by the variation and nothing else.

    Args:
        config: all parameters.
        events: 3D events.

    Raises:
        UserError: see `WirePlanesConfig.build`.
    """

    def __init__(self, config: WirePlanesConfig, events: VoxelEvents) -> None:
        if len(events.image_size) != 3:
            raise UserError(f"wire_planes projects 3D events, those of {events.origin} have {events.image_size} voxels")
        self._config, self._events = config, events
        self._detector = detector_of(config.detector)
        self._variation = variation_of(config.variation)
        self._voxel_mm = _voxel_size(config.voxel_size_mm, events)
        self._ranks = class_ranks(config.labels, events.classes)
        parameters = config.model_dump(mode="json", exclude={"reader", "generator"})
        about = Stream(
            image_size=self._detector.image_size,
            classes=events.classes,
            origin=f"wire planes of {self._detector.name}; projected from: {events.origin}",
            attributes={**events.attributes, "wire_planes": json.dumps(parameters)},
        )
        self._streams = MappingProxyType({plane.name: about for plane in self._detector.planes})

    @property
    def streams(self) -> Mapping[str, Stream]:
        """One stream a plane, by the plane's name."""
        return self._streams

    def make(self, seed: int, index: int) -> Mapping[str, Event]:
        """Images of event `index`, one a plane; labels and particle table are those of the 3D event.

        The table gains its positions in the plane, see `plane_positions`.

        Raises:
            BadEventError: energies that are negative or not finite, or an event that cannot be read.
            UserError: there is no such event, or a label that `charge` names is missing.
        """
        return self.project(self._events.make(seed, index), seed, index)

    def project(self, event: Event, seed: int, index: int) -> Mapping[str, Event]:
        """Images of a given 3D event, with the random numbers of `seed` and `index`.

        Raises:
            BadEventError: as for `make`.
        """
        charges, rows = self.arriving(event, seed, index)
        inside = event.select(rows)
        sources = _Sources(
            inside, clusters_of(inside, self._ranks), self._corner(event, event_rng(seed, _STREAM, index, 0))
        )
        response = self._variation.response_width
        times: dict[float, Footprint] = {}  # the same for planes of the same response
        images = {}
        for number, plane in enumerate(self._detector.planes):
            noise_key = int(event_rng(seed, _STREAM, index, 1 + number).integers(2**64, dtype=np.uint64))
            width = response * plane.response_time_mm
            times[width] = times.get(width) or time_footprint(self._detector, charges, width)
            wires = wire_footprint(self._detector, plane, charges, response * plane.response_wire_mm)
            image = overlay(wires, times[width], charges.electrons, self._detector.image_size[1])
            images[plane.name] = self._image(sources, plane, image, noise_key)
        return MappingProxyType(images)

    def arriving(self, event: Event, seed: int, index: int) -> tuple[Charges, np.ndarray]:
        """Charge at the wires, and the rows of the event that it is from; what stands outside the detector is lost."""
        config, detector, variation = self._config, self._detector, self._variation
        rng = event_rng(seed, _STREAM, index, 0)
        edge = self._voxel_mm
        corner = self._corner(event, rng)
        within = rng.random((len(event), 3)) if config.smear == "random" else 0.5
        true_mm = corner + (event.coords + within) * edge
        rows = np.flatnonzero(active(detector, true_mm))
        true_mm = true_mm[rows]
        time_us = drift_distance(detector, true_mm[:, 0]) / detector.velocity_mm_us
        free = electrons(config.charge, event, edge, detector.field_kv_cm, variation.recombination)[rows]
        lost = config.drift.model_copy(update={"lifetime_ms": config.drift.lifetime_ms * variation.lifetime})
        along = config.drift.longitudinal_cm2_s * variation.longitudinal_diffusion
        across = config.drift.transverse_cm2_s * variation.transverse_diffusion
        charges = Charges(
            position_mm=distort(detector, true_mm, variation.distortion_mm),
            electrons=free * surviving(lost, time_us),
            longitudinal_mm=diffusion_mm(along, time_us),
            transverse_mm=diffusion_mm(across, time_us),
            edge_mm=edge if config.smear == "uniform" else 0.0,
        )
        return charges, rows

    def _corner(self, event: Event, rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
        """Where the image stands; the first numbers that are drawn of an event."""
        size = np.array(event.image_size) * self._voxel_mm
        return corner_mm(self._config.placement, self._detector, size, rng)

    def _image(self, sources: _Sources, plane: PlaneConfig, image: PlaneImage, noise_key: int) -> Event:
        config, event = self._config, sources.event
        read = read_out(
            config.readout,
            detector=self._detector,
            plane=plane,
            image=image,
            variation=self._variation,
            noise_key=noise_key,
        )
        enough = config.labels.min_piu / config.readout.piu_per_electron
        reached = read.signal_row >= 0
        signal = reached & (np.append(image.electrons, 0.0)[read.signal_row] >= enough)
        chosen = np.zeros(len(image.pixel), dtype=np.bool_)
        chosen[read.signal_row[signal]] = True
        positions = plane_positions(
            event.particles,
            detector=self._detector,
            plane=plane,
            corner_mm=sources.corner_mm,
            voxel_mm=self._voxel_mm,
            distortion_mm=self._variation.distortion_mm,
        )
        leads = np.full(len(signal), -1, dtype=np.int64)
        leads[signal] = leading_deposits(image.shares(chosen), sources.clusters, config.labels.min_fraction)
        return Event(
            key=EventKey(f"{event.key.file} plane {plane.name}", event.key.entry),
            coords=np.stack(np.divmod(read.pixel, self._detector.image_size[1]), axis=1).astype(np.int32),
            energy=read.intensity,
            image_size=self._detector.image_size,
            classes=event.classes,
            labels=pixel_labels(event, leads),
            particles={**event.particles, **positions},
        )


class _Sources(NamedTuple):
    """The voxels whose charge arrives."""

    event: Event
    clusters: Clusters
    corner_mm: Float[np.ndarray, " 3"]


def _voxel_size(asked: float | None, events: VoxelEvents) -> float:
    if asked is None and events.voxel_size_mm is None:
        raise UserError(f"{events.origin} does not say how large a voxel is; set voxel_size_mm")
    if asked is not None and events.voxel_size_mm not in (None, asked):
        raise UserError(f"voxel_size_mm is {asked}, but {events.origin} has voxels of {events.voxel_size_mm} mm")
    return float(asked if asked is not None else events.voxel_size_mm)  # type: ignore[arg-type]  # not both are None
