"""Particles alone: each once, whole, and nothing else with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from lartpc_sparse.data.convert import main
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import SampleConfig, VoxelsConfig
from lartpc_sparse.data.single_particles import SingleParticles, instances_of
from lartpc_sparse.schema import BadEventError, UserError

SAMPLE = SampleConfig(split="test", limit=4)
LEAST = 30


def test_every_track_is_one_event_with_all_of_its_voxels() -> None:
    whole = SAMPLE.build()
    alone = SingleParticles(whole, ("HIP", "MIP"), LEAST)
    wanted = []
    for index in range(len(whole)):
        event = whole.read(index)
        track = np.isin(event.labels["semantic"], [event.classes.index("HIP"), event.classes.index("MIP")])
        for number in np.unique(event.labels["instance"][track & (event.labels["instance"] >= 0)]):
            rows = track & (event.labels["instance"] == number)
            if rows.sum() >= LEAST:
                wanted.append((event.coords[rows], event.energy[rows]))
    assert len(alone) == len(wanted) > 5
    for index, (coords, energy) in enumerate(wanted):
        event = alone.read(index)
        np.testing.assert_array_equal(event.coords, coords)
        np.testing.assert_array_equal(event.energy, energy)
        assert event.key == alone.key(index)
        assert alone.num_voxels()[index] == len(event) == len(event.inverse_index)
    with pytest.raises(IndexError):
        alone.read(len(alone))


def test_other_classes_by_name() -> None:
    event = SAMPLE.build().read(0)
    shower = event.labels["semantic"] == event.classes.index("shower")
    np.testing.assert_array_equal(instances_of(event, ("shower",)), np.where(shower, event.labels["instance"], -1))


def test_convert_writes_them(tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    source = SAMPLE.build().files[0]
    assert main([source, str(whole), "--to", "voxels", "--select", "0:4"]) == 0
    alone = tmp_path / "alone.h5"
    words = [str(whole), str(alone), "--to", "voxels", "--check", "--min-voxels", str(LEAST), "--alone", "HIP", "MIP"]
    assert main(words) == 0
    written = VoxelsConfig(files=(str(alone),)).build()
    wanted = SingleParticles(SAMPLE.build(), ("HIP", "MIP"), LEAST)
    assert written.num_voxels().tolist() == wanted.num_voxels().tolist()
    np.testing.assert_array_equal(written.read(3).coords, wanted.read(3).coords)


class Damaged:
    """The sample, one event of which cannot be read."""

    def __init__(self) -> None:
        self._reader = SAMPLE.build()
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def __len__(self) -> int:
        return len(self._reader)

    def read(self, index: int) -> Event:
        self.reads += 1
        if index == 1:
            raise BadEventError("event 1 is broken")
        return self._reader.read(index)


def test_skipped_events_are_counted_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, alone = tmp_path / "whole.h5", tmp_path / "alone.h5"
    assert main([SAMPLE.build().files[0], str(whole), "--to", "voxels", "--select", "0:4"]) == 0
    config = SimpleNamespace(build=Damaged, model_dump=lambda **_: {})
    monkeypatch.setattr("lartpc_sparse.data.convert.reader_config", lambda *_: config)
    words = [str(whole), str(alone), "--to", "voxels", "--alone", "HIP", "MIP", "--on-bad-event", "skip"]
    assert main(words) == 0
    with h5py.File(alone) as file:
        assert file.attrs["source_events_skipped"] == 1
        assert file.attrs["source_events"] == 4


def test_a_bad_event_is_left_out_when_asked_and_the_others_are_read_once_for_all_particles() -> None:
    with pytest.raises(BadEventError, match="event 1 is broken"):
        SingleParticles(Damaged(), ("HIP", "MIP"), LEAST)
    reader = Damaged()
    alone = SingleParticles(reader, ("HIP", "MIP"), LEAST, skip_bad=True)
    assert alone.bad_events == 1
    whole = SingleParticles(SAMPLE.build(), ("HIP", "MIP"), LEAST)
    lost = SingleParticles(SampleConfig(split="test", select=(1, 2)).build(), ("HIP", "MIP"), LEAST)
    assert len(alone) == len(whole) - len(lost) > 3
    before = reader.reads
    for index in range(len(alone)):
        alone.read(index)
    assert reader.reads - before == len({event for event, _ in alone._where})


def test_size_of_a_voxel_and_origin_go_with_them() -> None:
    alone, whole = SingleParticles(SAMPLE.build()), SAMPLE.build()
    assert alone.voxel_size_mm == whole.voxel_size_mm == 3.0
    assert alone.header == whole.header
    assert len(alone.read(0).particles) == len(whole.read(0).particles)


def test_no_particle_at_all_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        SAMPLE.build().files[0],
        str(tmp_path / "x.h5"),
        "--to",
        "voxels",
        "--min-voxels",
        "9999999",
        "--alone",
        "MIP",
    ]
    assert main(words) == 2
    assert "no particle of MIP has 9999999 voxels" in capsys.readouterr().err


def test_classes_that_no_event_has_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="no class of the events is called proton; they have HIP"):
        SingleParticles(SAMPLE.build(), ("proton",))
    words = [SAMPLE.build().files[0], str(tmp_path / "x.h5"), "--to", "voxels", "--alone", "proton"]
    assert main(words) == 2
    assert not (tmp_path / "x.h5").exists()
