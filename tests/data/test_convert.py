"""Conversion of files: equal to the last bit, and no kill does harm."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made_events import make_event, random_event
from pilarnet_files import VERSIONS, empty_event, raw_event, write_pilarnet
from test_readers_voxels import write

from lartpc_sparse.data import conversion as conversion_module
from lartpc_sparse.data.compare import compare_readers, difference
from lartpc_sparse.data.conversion import Conversion, convert
from lartpc_sparse.data.convert import main, reader_config
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import PilarnetConfig, Reader, VoxelsConfig
from lartpc_sparse.data.writers import WRITERS, writer_class
from lartpc_sparse.schema import BadEventError, UserError

EVENTS = 11


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eleven events, one of them empty, one with the same voxel twice."""
    events = [random_event(seed, 3 + seed, entry=seed) for seed in range(EVENTS)]
    events[4] = make_event([])
    events[5] = make_event([[1, 2, 3], [1, 2, 3], [0, 0, 0]], [1.0, 2.0, -0.0])
    return write(tmp_path / "in.h5", events)


def reader_of(path: Path) -> Reader:
    return VoxelsConfig(files=(str(path),)).build()


def conversion_to(path: Path, **options: Any) -> Conversion:
    return Conversion(path, "voxels", {}, **{"part_events": 2, **options})


@pytest.mark.parametrize("version", VERSIONS)
def test_pilarnet_to_voxels_to_voxels_keeps_every_bit(tmp_path: Path, version: str) -> None:
    events = [raw_event(seed) for seed in range(4)] + [empty_event()]
    for event in events[:1]:
        event.point[1, :3] = event.point[0, :3]  # the same voxel twice stays twice
    path = write_pilarnet(tmp_path / "in.h5", events, version)
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    assert main([str(path), str(one), "--to", "voxels", "--check", "--part-events", "3"]) == 0
    assert main([str(one), str(two), "--to", "voxels", "--check"]) == 0
    original = PilarnetConfig(files=(str(path),)).build()
    assert compare_readers(original, reader_of(two)) is None
    for index in range(len(events)):
        event, copy = original.read(index), reader_of(two).read(index)
        assert event.coords.tobytes() == copy.coords.tobytes()
        assert event.energy.tobytes() == copy.energy.tobytes()
    assert reader_of(two).header.voxel_size_mm == 3.0  # type: ignore[attr-defined]


def test_without_compression_it_is_another_conversion_of_the_same_events(source: Path, tmp_path: Path) -> None:
    plain, again = tmp_path / "plain.h5", tmp_path / "again.h5"
    words = [str(source), str(plain), "--to", "voxels", "--check"]
    assert main(words) == 0
    assert main([*words[:-1], "--compression", "none"]) == 2  # it holds another conversion
    assert main([*words, "--compression", "none", "--force"]) == 0
    with h5py.File(plain) as file:
        assert "checksums" in file
        assert file["energy"].compression is None
    assert main([str(plain), str(again), "--to", "voxels", "--check"]) == 0
    assert compare_readers(reader_of(source), reader_of(again)) is None


def test_the_real_layout_keeps_every_bit(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "val_pilarnet.h5"
    output = tmp_path / "out.h5"
    assert main([str(path), str(output), "--to", "voxels", "--check", "--select", "0:30"]) == 0
    assert len(reader_of(output)) == 30


def test_the_output_says_where_it_is_from(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "out.h5"
    assert main([str(source), str(output), "--to", "voxels", "--select", "2:6", "--check"]) == 0
    with h5py.File(output, locking=False) as file:
        assert json.loads(file.attrs["converted_from"]) == [str(source)]
        assert file.attrs["skipped_events"] == 0
        assert {"git_hash", "created", "lartpc_sparse_version"} <= set(file.attrs)
    assert len(reader_of(output)) == 4
    assert list(output.parent.iterdir()) == [output]


class _Killed:
    """A reader that kills its process at an event."""

    def __init__(self, reader: Reader, at: int) -> None:
        self._reader, self._at = reader, at

        self.files, self.image_size, self.classes = reader.files, reader.image_size, reader.classes
        self.key, self.num_voxels = reader.key, reader.num_voxels

    def __len__(self) -> int:
        return len(self._reader)

    def read(self, index: int) -> Event:
        if index == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._reader.read(index)


class _Noted(_Killed):
    """A reader that notes what is read."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader, -1)
        self.indices: list[int] = []

    def read(self, index: int) -> Event:
        self.indices.append(index)
        return super().read(index)


def _in_a_process(reader: Reader, conversion: Conversion) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=convert, args=(reader, conversion))
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("at", [0, 1, 2, 5, 10])
def test_a_kill_loses_no_finished_part(source: Path, tmp_path: Path, at: int) -> None:
    output, reader = tmp_path / "out.h5", reader_of(source)
    assert _in_a_process(_Killed(reader, at), conversion_to(output)) == -signal.SIGKILL
    assert not output.exists()
    noted = _Noted(reader)
    convert(noted, conversion_to(output))
    assert noted.indices == list(range(at - at % 2, EVENTS))
    assert compare_readers(reader, reader_of(output)) is None
    assert not conversion_to(output).folder.exists()


def test_a_kill_while_parts_are_merged_does_no_harm(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, reader = tmp_path / "out.h5", reader_of(source)
    write_event = conversion_module._write
    with monkeypatch.context() as patch:
        calls = iter(range(EVENTS + 5))

        def dying(writer: Any, event: Event) -> None:
            if next(calls) == EVENTS + 4:
                os.kill(os.getpid(), signal.SIGKILL)
            write_event(writer, event)

        patch.setattr(conversion_module, "_write", dying)
        assert _in_a_process(reader, conversion_to(output)) == -signal.SIGKILL
    assert not output.exists()
    noted = _Noted(reader)
    convert(noted, conversion_to(output))
    assert noted.indices == []
    assert compare_readers(reader, reader_of(output)) is None


def test_a_signal_ends_it_with_the_status_of_a_job_that_can_go_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = conversion_module._read

    def read(reader: Reader, index: int, *others: Any) -> Event:
        if index == 5:
            signal.raise_signal(signal.SIGTERM)
        return real(reader, index, *others)

    command = [str(source), str(tmp_path / "out.h5"), "--to", "voxels", "--part-events", "2"]
    monkeypatch.setattr(conversion_module, "_read", read)
    assert main(command) == 75
    assert "goes on where it stopped (SIGTERM)" in capsys.readouterr().err
    monkeypatch.undo()
    assert len(list((tmp_path / "out.h5.parts").glob("part-*.h5"))) == 2
    assert main([*command, "--check"]) == 0


def test_the_help_says_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.partition("exit status:")[2]
    assert [int(line.split()[0]) for line in listed.strip().splitlines()] == [0, 1, 2, 4, 75, 130]


def test_parts_of_other_inputs_are_not_used(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = tmp_path / "out.h5"
    assert _in_a_process(_Killed(reader_of(source), 5), conversion_to(output)) == -signal.SIGKILL
    other = write(tmp_path / "other.h5", [random_event(100 + seed, 9) for seed in range(EVENTS)])
    convert(reader_of(other), conversion_to(output))
    assert "parts of another conversion" in caplog.text
    assert compare_readers(reader_of(other), reader_of(output)) is None


def test_a_finished_conversion_is_not_repeated_and_another_not_overwritten(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.h5"
    command = [str(source), str(output), "--to", "voxels"]
    assert main(command) == 0
    before = output.stat().st_mtime_ns
    assert main(command) == 0
    assert output.stat().st_mtime_ns == before
    assert main([*command, "--select", "0:3"]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*command, "--select", "0:3", "--force", "--check"]) == 0
    assert len(reader_of(output)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5", "out.h5"]


def test_two_at_a_time_are_refused(source: Path, tmp_path: Path) -> None:
    conversion = conversion_to(tmp_path / "out.h5")
    with conversion_module._alone(conversion), pytest.raises(UserError, match="another process is converting"):
        convert(reader_of(source), conversion)


@pytest.fixture
def bad_source(source: Path) -> Path:
    with h5py.File(source, "a") as file:
        file["energy"][file["offsets"][7]] = np.nan
    return source


def test_a_bad_event_stops_or_is_skipped(
    bad_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out.h5"
    command = [str(bad_source), str(output), "--to", "voxels", "--part-events", "4", "--check"]
    assert main(command) == 2
    assert "in.h5 entry 7: energy of voxel 0 is nan" in (error := capsys.readouterr().err)
    assert "--on-bad-event skip" in error
    assert not output.exists()
    assert len(list(conversion_to(output).folder.glob("*.h5"))) == 1  # the finished part is used again
    assert main([*command, "--on-bad-event", "skip"]) == 0
    assert "another conversion" not in caplog.text
    assert "1 of 11 events were skipped" in caplog.text
    copy = reader_of(output)
    assert [len(copy.read(index)) for index in range(11)] == [3, 4, 5, 6, 0, 3, 9, 0, 11, 12, 13]
    with h5py.File(output, locking=False) as file:
        assert file.attrs["skipped_events"] == 1
        assert list(json.loads(file.attrs["skipped"])) == ["7"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coords", r"coords is \[\d+, \d+, \d+\] and \[\d+, \d+, \d+\] in row 2 \(1 rows differ\)"),
        ("energy", "energy is .* in row 2"),
        ("labels/semantic", "label semantic is .* in row 2"),
        ("labels/instance", "label instance is 2 and 1 in row 2"),
        ("particles/pdg", r"particle column pdg is \d+ and \d+ in row 0"),
    ],
)
def test_the_check_names_the_first_difference(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    output = tmp_path / "out.h5"
    command = [str(source), str(output), "--to", "voxels", "--check"]
    assert main(command) == 0
    with h5py.File(output, "a") as file:
        row = file["particle_offsets"][9] if "particles" in name else file["offsets"][9] + 2
        value = file[name][row]
        file[name][row] = value - 1 if name == "labels/instance" else (value + 1) % 3
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "differs from its input: event 9 (" in error
    assert re.search(message, error), error


def test_difference_is_to_the_last_bit() -> None:
    event = random_event(1, 5)
    assert difference(event, event.replace(energy=event.energy.copy())) is None
    energy = event.energy.copy()
    energy[3] = np.nextafter(energy[3], 100, dtype=np.float32)
    assert "row 3" in str(difference(event, event.replace(energy=energy)))
    zero = make_event([[0, 0, 0]], [0.0])
    assert difference(zero, make_event([[0, 0, 0]], [-0.0])) is not None
    nan = event.replace(particles={"x": np.array([np.nan, 1.0])})
    assert difference(nan, event.replace(particles={"x": np.array([np.nan, 1.0])})) is None
    assert "labels ['instance', 'semantic'] and []" in str(difference(event, event.replace(labels={})))


def test_formats_are_told_from_the_content(source: Path, tmp_path: Path) -> None:
    assert detect_format(str(source)) == "voxels"
    assert detect_format(str(write_pilarnet(tmp_path / "p.h5", [raw_event(1)]))) == "pilarnet"
    for name, members, kind in (
        ("l.h5", ("Data", "Events"), "larcv_hdf5"),
        ("s.h5", ("products", "info"), "spine_hdf5"),
    ):
        with h5py.File(tmp_path / name, "w") as file:
            for member in members:
                file.create_group(member)
        assert detect_format(str(tmp_path / name)) == kind
    (tmp_path / "r.root").write_bytes(b"root\0\0\1\2")
    assert detect_format(str(tmp_path / "r.root")) == "larcv_root"


def test_a_format_that_is_not_known_is_described(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["voxels"] = [1, 2]
        file.attrs["made_by"] = "me"
    with pytest.raises(UserError, match=r"x\.h5 is an HDF5 file of no known kind; it has voxels and .* made_by; known"):
        detect_format(str(tmp_path / "x.h5"))
    (tmp_path / "t.txt").write_text("hello")
    with pytest.raises(UserError, match=r"neither an HDF5 nor a ROOT file \(it begins with b'hello'\)"):
        detect_format(str(tmp_path / "t.txt"))
    with pytest.raises(UserError, match=r"gone\.h5: no such file"):
        detect_format(str(tmp_path / "gone.h5"))
    with h5py.File(tmp_path / "v1.h5", "w") as file:
        file["events"], file["info"] = [1], [1]
    with pytest.raises(UserError, match="SPINE file of version 1"):
        detect_format(str(tmp_path / "v1.h5"))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--set", "reader.colour=3"], "reader voxels: voxels.colour"),
        (["--set", "reader.limit"], "write reader.key=value"),
        (["--select", "3"], "write it as A:B"),
        (["--from", "pilarnet"], "is not PILArNet-M"),
        (["--part-events", "0"], "at least 1"),
        (["--to", "larcv3", "--compression", "none"], "--compression goes with --to voxels"),
    ],
)
def test_bad_words_are_explained(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main([str(source), str(tmp_path / "out.h5"), "--to", "voxels", *extra]) == 2
    assert message in capsys.readouterr().err


def test_the_input_is_not_overwritten(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), str(source), "--to", "voxels", "--force"]) == 2
    assert "is one of the files to read" in capsys.readouterr().err


def test_files_of_two_kinds_are_refused(source: Path, tmp_path: Path) -> None:
    other = write_pilarnet(tmp_path / "p.h5", [raw_event(1)])
    with pytest.raises(UserError, match="different kinds"):
        reader_config((str(source), str(other)), None, ())


def test_settings_of_the_reader_reach_it(source: Path) -> None:
    config = reader_config((str(source),), None, ("reader.labels=[semantic]", "limit=2"))
    assert len(config.build()) == 2
    assert list(config.build().read(0).labels) == ["semantic"]


def test_writers_are_imported_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert writer_class("voxels").__name__ == "VoxelFileWriter"
    with pytest.raises(UserError, match="no writer for 'zarr'; valid: voxels, larcv3"):
        writer_class("zarr")
    monkeypatch.setitem(WRITERS, "future", "lartpc_sparse.data.not_there:Writer")
    with pytest.raises(UserError, match="'future' cannot be written by this version"):
        writer_class("future")


def test_an_event_that_does_not_fit_is_named(tmp_path: Path) -> None:
    event = make_event([[0, 0, 0]]).replace(labels={"semantic": np.zeros(1, np.int64), "instance": np.array([2**40])})

    class One(_Killed):
        def read(self, index: int) -> Event:
            return event

    source = reader_of(write(tmp_path / "in.h5", [make_event([[0, 0, 0]])]))
    with pytest.raises(BadEventError, match=r"instance spans .* the output format cannot hold it"):
        convert(One(source, -1), conversion_to(tmp_path / "out.h5"))
