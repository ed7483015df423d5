"""3D events and small detectors for the tests of the wire planes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig, PlaneConfig
from lartpc_sparse.simulate.wire_planes.source import WirePlanes, WirePlanesConfig

CLASSES = ("HIP", "MIP", "shower", "delta", "Michel", "low_energy")

QUIET = {"noise": 0.0}
"""A variation without noise."""


class ListedEvents:
    """3D events from a list."""

    def __init__(self, *events: Event, voxel_size_mm: float | None = 3.0) -> None:
        self._events = events
        self.image_size = events[0].image_size
        self.classes = events[0].classes
        self.voxel_size_mm: float | None = voxel_size_mm
        self.origin = "a test"
        self.attributes: Mapping[str, str | int | float] = {}

    def make(self, seed: int, index: int) -> Event:
        return self._events[index]


def voxel_event(
    coords: object,
    energy: object = 1.0,
    *,
    semantic: object = 1,
    instance: object = 0,
    image_size: tuple[int, int, int] = (64, 64, 64),
) -> Event:
    """An event whose energies, classes and instances are given for all voxels at once or one by one."""
    where = np.asarray(coords, dtype=np.int32).reshape(-1, 3)
    n = len(where)
    return Event(
        key=EventKey("made.h5", 3),
        coords=where,
        energy=np.broadcast_to(np.asarray(energy, dtype=np.float32), n).copy(),
        image_size=image_size,
        classes=CLASSES,
        labels={
            "semantic": np.broadcast_to(np.asarray(semantic, dtype=np.int64), n).copy(),
            "instance": np.broadcast_to(np.asarray(instance, dtype=np.int64), n).copy(),
            "row": np.arange(n),
        },
        particles={"pdg": np.array([13, 11])},
    )


def small_detector(**changes: object) -> DetectorConfig:
    """A detector of 0.3 x 0.24 x 0.36 m with three planes; everything in it reaches a wire."""
    values = {
        "name": "small",
        "size_mm": (300.0, 240.0, 360.0),
        "first_row": 10.0,
        "image_size": (160, 120),
        "planes": tuple(
            PlaneConfig(name=name, angle_deg=angle, num_wires=wires)
            for name, angle, wires in (("u", 60.0, 150), ("v", -60.0, 150), ("y", 0.0, 140))
        ),
    }
    return DetectorConfig.model_validate({**values, **changes})


def source_of(*events: Event, **config: object) -> WirePlanes:
    """The source on listed events, in the middle of the small detector unless told otherwise."""
    values = {"detector": small_detector(), "placement": {"where": "centre"}, **config}
    return WirePlanes(WirePlanesConfig.model_validate({"reader": {"kind": "sample"}, **values}), ListedEvents(*events))
