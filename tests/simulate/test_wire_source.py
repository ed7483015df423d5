"""The source `wire_planes`: what it takes, what it says about its files, and that they are read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import ValidationError
from wire_events import CLASSES, ListedEvents, source_of, voxel_event

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.transforms import EnergyThreshold
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.base import EventSource, SourceConfig, Stream
from lartpc_sparse.simulate.wire_planes import WirePlanes, WirePlanesConfig

SAMPLE = {"kind": "sample", "split": "test", "limit": 3}


class OneTrackConfig(SourceConfig):
    """A source of one straight track, for the tests."""

    kind: Literal["test_wire_source:OneTrackConfig"] = "test_wire_source:OneTrackConfig"

    def build(self) -> EventSource:
        return OneTrack()


class OneTrack:
    @property
    def streams(self) -> Mapping[str, Stream]:
        return {
            "events": Stream(
                image_size=(64, 64, 64), classes=CLASSES, voxel_size_mm=3.0, origin="one track", attributes={"code": 7}
            )
        }

    def make(self, seed: int, index: int) -> Mapping[str, Event]:
        return {"events": voxel_event([[i, 20 + index, i] for i in range(40)], 0.6)}


def test_the_sample_becomes_three_planes_that_are_read_back(tmp_path: Path) -> None:
    source = WirePlanesConfig(reader=SAMPLE).build()
    assert isinstance(source, EventSource)
    assert list(source.streams) == ["u", "v", "y"]
    made = [source.make(1, index) for index in range(3)]
    for plane, stream in source.streams.items():
        assert stream.image_size == (3456, 1008)
        assert stream.classes == CLASSES
        path = tmp_path / f"{plane}.h5"
        with VoxelFileWriter(
            path,
            image_size=stream.image_size,
            classes=stream.classes,
            voxel_size_mm=stream.voxel_size_mm,
            origin=stream.origin,
            attributes=stream.attributes,
        ) as writer:
            for images in made:
                writer.write(images[plane])
        reader = VoxelsConfig(files=(str(path),)).build()
        assert reader.image_size == (3456, 1008)
        for index, images in enumerate(made):
            event, image = reader.read(index), images[plane]
            np.testing.assert_array_equal(event.coords, image.coords)
            np.testing.assert_array_equal(event.energy, image.energy)
            for name, column in image.labels.items():
                np.testing.assert_array_equal(event.labels[name], column)
            np.testing.assert_array_equal(event.particles["pid"], image.particles["pid"])
            kept = EnergyThreshold(min_mev=10, max_mev=300)(event, np.random.default_rng(0))  # the network's window
            assert 0.5 * len(event) < len(kept) <= len(event)


def test_labels_are_those_of_the_3d_event() -> None:
    source = WirePlanesConfig(reader=SAMPLE).build()
    event = WirePlanesConfig(reader=SAMPLE).reader.build().read(0)  # type: ignore[union-attr]
    truth = {tuple(int(event.labels[name][row]) for name in sorted(event.labels)) for row in range(len(event))}
    for image in source.make(0, 0).values():
        found = {tuple(int(image.labels[name][row]) for name in sorted(event.labels)) for row in range(len(image))}
        assert found <= truth | {(-1,) * len(event.labels)}
        assert image.key.entry == event.key.entry


def test_parameters_are_written_into_the_files() -> None:
    source = WirePlanesConfig(reader=SAMPLE, variation="noise_up").build()
    about = source.streams["u"]
    said = json.loads(str(about.attributes["wire_planes"]))
    assert said["variation"] == "noise_up"
    assert said["drift"]["lifetime_ms"] == 10.0
    assert "Geant4 11.4" in about.origin


def test_another_source_is_projected() -> None:
    config = WirePlanesConfig.model_validate({"generator": {"kind": "test_wire_source:OneTrackConfig"}})
    source = config.build()
    assert source.streams["v"].attributes["code"] == 7
    assert source.streams["v"].origin.endswith("one track")
    assert all(len(image) > 20 for image in source.make(0, 0).values())
    assert WirePlanesConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(UserError, match=r"no stream 'nothing', it has \['events'\]"):
        config.model_copy(update={"stream": "nothing"}).build()


def test_events_end_unless_they_are_repeated() -> None:
    source = WirePlanesConfig(reader=SAMPLE).build()
    with pytest.raises(UserError, match="event 3 is asked for, but `reader` has 3"):
        source.make(0, 3)
    again = WirePlanesConfig(reader=SAMPLE, repeat=True).build()
    first, second = again.make(0, 0)["y"], again.make(0, 3)["y"]
    names = [set(image.labels["instance"].tolist()) for image in (first, second)]
    assert len(names[0] & names[1]) > 0.7 * len(names[0] | names[1])  # single faint clusters come and go
    assert abs(first.coords[:, 0].mean() - second.coords[:, 0].mean()) > 1  # elsewhere


def test_the_voxel_size_must_be_known_and_right(tmp_path: Path) -> None:
    event = voxel_event([[1, 2, 3]])
    config = WirePlanesConfig(reader=SAMPLE)
    with pytest.raises(UserError, match="does not say how large a voxel is; set voxel_size_mm"):
        WirePlanes(config, ListedEvents(event, voxel_size_mm=None))
    with pytest.raises(UserError, match=r"voxel_size_mm is 4.0, but a test has voxels of 3.0 mm"):
        WirePlanes(config.model_copy(update={"voxel_size_mm": 4.0}), ListedEvents(event))
    path = tmp_path / "unknown.h5"
    with VoxelFileWriter(path, image_size=event.image_size, classes=event.classes) as writer:
        writer.write(event)
    reader = {"kind": "voxels", "files": [str(path)]}
    with pytest.raises(UserError, match="set voxel_size_mm"):
        WirePlanesConfig.model_validate({"reader": reader}).build()
    assert WirePlanesConfig.model_validate({"reader": reader, "voxel_size_mm": 3.0}).build().make(0, 0)


def test_only_3d_events_are_projected() -> None:
    flat = source_of(voxel_event([[1, 2, 3]], 9.0)).make(0, 0)["y"]
    with pytest.raises(UserError, match=r"projects 3D events, those of a test have \(160, 120\) voxels"):
        WirePlanes(WirePlanesConfig(reader=SAMPLE), ListedEvents(flat))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "either `reader` or `generator`"),
        ({"reader": SAMPLE, "generator": {"kind": "test_wire_source:OneTrackConfig"}}, "either `reader`"),
        ({"reader": SAMPLE, "variation": {"distortion_mm": [700, 0, 0]}}, "folds the detector"),
        ({"reader": SAMPLE, "variation": "louder"}, "variation"),
        ({"reader": SAMPLE, "detector": "icarus"}, "detector"),
        ({"reader": SAMPLE, "readout": {"threshold_piu": 0}}, "threshold_piu"),
        ({"reader": SAMPLE, "nosuch": 1}, "nosuch"),
    ],
)
def test_mistakes_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WirePlanesConfig.model_validate(wrong)


def test_a_named_detector_and_variation_can_be_written_out() -> None:
    config = WirePlanesConfig(reader=SAMPLE, detector="cube", variation={"gain": 1.03, "noise": 1.2})
    images = config.build().make(0, 0)
    assert images["y"].image_size == (1056, 704)
    assert len(images["u"]) > 100
