"""Full disks, damaged checkpoints, files that vanish, losses that are not finite, two jobs in one place."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from job_runner import Runner, assert_same_columns, assert_same_training, events, training_log

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionWriter
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.jobs import OutputError, output_error
from lartpc_sparse.network import Network
from lartpc_sparse.run import main
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps import train_step
from lartpc_sparse.train.durable_checkpoints import PREVIOUS, DurableCheckpoints, newest_checkpoint
from lartpc_sparse.weights import BEST, CHECKPOINT_KEY, LAST, read_checkpoint

JobChain = Callable[..., list[str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("no right to mount a file system of its own")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def checkpoint(step: int, size: int = 1000) -> dict[str, Any]:
    return {CHECKPOINT_KEY: {"epoch": 0, "batch": step}, "global_step": step, "state_dict": {"w": torch.rand(size)}}


def test_disk_full_while_writing_a_checkpoint(small_disk: Path) -> None:
    writer = DurableCheckpoints(lambda: None)
    path = small_disk / LAST
    writer.save_checkpoint(checkpoint(1), path)
    writer.save_checkpoint(checkpoint(2), path)
    with pytest.raises(OutputError, match=r"the disk is full.*make room"):
        writer.save_checkpoint(checkpoint(3, 3_000_000), path)
    assert sorted(file.name for file in small_disk.iterdir()) == [LAST, PREVIOUS]
    found = newest_checkpoint(small_disk)
    assert found is not None
    assert found[1]["global_step"] == 2


def test_disk_full_while_writing_a_part(small_disk: Path) -> None:
    rng = np.random.default_rng(1)

    def fill() -> None:
        with PredictionWriter(small_disk / "part.h5", image_size=(64, 64, 64), classes=(), attributes={}) as writer:
            for entry in range(600):
                coords = rng.integers(0, 64, (5000, 3)).astype(np.int32)
                writer.write(Prediction(EventKey("made", entry), coords, rng.random(5000, dtype=np.float32)))

    with pytest.raises((OSError, RuntimeError)) as caught:
        fill()
    found = output_error(caught.value)
    assert found is not None
    assert "disk is full" in str(found)
    assert list(small_disk.iterdir()) == []


def test_a_job_says_that_the_disk_is_full(small_disk: Path, runner: Runner, job_chain: JobChain) -> None:
    folder = small_disk / "run"
    command = job_chain("x", f"run.output_dir={folder}", "model.backbone.filters=32")
    assert runner.run(command) == 4, runner.output
    assert "the disk is full" in " ".join(runner.output.split())
    assert not list(folder.rglob("*.partial"))


@contextmanager
def nearly_full(disk: Path, free: int) -> Iterator[None]:
    """Leave so many bytes, and the 4 MB that are spared for closing files, on a file system; room comes afterwards."""
    found = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(found.f_bavail * found.f_frsize - free - (4 << 20)))
    yield
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def said(runner: Runner) -> str:
    return " ".join(runner.output.split())


@pytest.fixture
def prediction(runner: Runner, job_chain: JobChain, tmp_path: Path) -> Callable[[str], list[str]]:
    """A prediction in a folder; that in the folder `whole` is done."""
    assert runner.run(job_chain("train", "train.epochs=1", "data.train.limit=2")) == 0, runner.output
    chosen = f"predict.checkpoint={tmp_path / 'train' / 'training' / LAST}"
    options = (chosen, "data.test.limit=40", "predict.part_events=4")
    assert runner.run(job_chain("whole", *options, only="predict")) == 0, runner.output
    return lambda folder: job_chain("x", *options, f"run.output_dir={folder}", only="predict")


def test_disk_full_while_predicting(
    small_disk: Path, runner: Runner, prediction: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = small_disk / "run"
    whole = (tmp_path / "whole" / "predictions.h5").stat().st_size
    with nearly_full(small_disk, whole // 2):
        assert runner.run(prediction(str(folder))) == 4, runner.output
        assert "the disk is full" in said(runner)
        kept = {path: path.stat().st_mtime_ns for path in folder.rglob("part*.h5")}
        assert 0 < len(kept) < 10
        assert not list(folder.rglob("*.partial"))
        assert not (folder / "predictions.h5").exists()
    assert runner.run(prediction(str(folder))) == 0, runner.output
    done = [event["part"] for event in events(folder) if event["event"] == "part_done"]
    assert sorted(done) == list(range(10))  # none twice
    assert_same_columns(tmp_path / "whole" / "predictions.h5", folder / "predictions.h5")


def test_disk_full_while_joining(
    small_disk: Path, runner: Runner, prediction: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = small_disk / "run"
    assert runner.run([*prediction(str(folder)), "--shard", "0/1"]) == 0, runner.output
    with nearly_full(small_disk, 20_000):
        assert runner.run(prediction(str(folder))) == 4, runner.output
        assert "the disk is full" in said(runner)
        assert not (folder / "predictions.h5").exists()
        assert not list(folder.rglob("*.partial"))
    assert runner.run(prediction(str(folder))) == 0, runner.output
    assert [event["event"] for event in events(folder)].count("part_done") == 10
    assert_same_columns(tmp_path / "whole" / "predictions.h5", folder / "predictions.h5")


def test_disk_full_while_converting(small_disk: Path, runner: Runner, tmp_path: Path) -> None:
    source = str(Path(__file__).resolve().parents[2] / "lartpc_sparse" / "data" / "sample" / "train.h5")
    options = ["--to", "voxels", "--part-events", "20"]
    assert runner.run([source, str(tmp_path / "whole.h5"), *options], module="convert") == 0, runner.output
    command = [source, str(small_disk / "out.h5"), *options]
    with nearly_full(small_disk, (tmp_path / "whole.h5").stat().st_size // 2):
        assert runner.run(command, module="convert") == 4, runner.output
        assert "the disk is full" in said(runner)
        assert not (small_disk / "out.h5").exists()
        kept = {path: path.stat().st_mtime_ns for path in (small_disk / "out.h5.parts").glob("part-*.h5")}
        assert kept
        assert not list(small_disk.rglob("*.h5.partial"))
    assert runner.run(command, module="convert") == 0, runner.output
    assert_same_columns(tmp_path / "whole.h5", small_disk / "out.h5")


def test_read_only_output(small_disk: Path, runner: Runner, job_chain: JobChain) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert runner.run(job_chain("x", f"run.output_dir={small_disk / 'run'}")) == 4
    assert "read-only" in runner.output


def test_errors_of_other_kinds_are_not_errors_of_the_output() -> None:
    assert output_error(OSError(errno.ENOENT, "no such file")) is None
    assert output_error(ValueError("x")) is None
    hidden = RuntimeError("closing failed")
    hidden.__cause__ = OSError("unable to write (errno = 28, error message = 'No space left on device')")
    assert output_error(hidden) is not None


def test_a_checkpoint_cut_short_is_replaced_by_the_one_before(
    runner: Runner, job_chain: JobChain, tmp_path: Path
) -> None:
    options = ("train.epochs=2", "train.checkpoint_every_steps=1", "data.batch.events=1")
    assert runner.run(job_chain("whole", *options)) == 0, runner.output
    number = runner.start(job_chain("cut", *options))
    folder = tmp_path / "cut" / "training"
    until = time.monotonic() + 60
    while time.monotonic() < until and not ((folder / PREVIOUS).exists() and (folder / LAST).exists()):
        time.sleep(0.005)
    os.kill(number, signal.SIGKILL)
    assert runner.wait(number) == -signal.SIGKILL
    last = folder / LAST
    if not last.exists():  # killed between two renamings
        shutil.copy(folder / PREVIOUS, last)
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    assert runner.run(job_chain("cut", *options)) == 0, runner.output
    assert_same_training(tmp_path / "whole", tmp_path / "cut")
    said = [event["message"] for event in events(tmp_path / "cut") if event["event"] == "warning"]
    assert any("continuing from the one before, of step" in text and LAST in text for text in said)


def test_no_readable_checkpoint_is_an_error(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    (tmp_path / LAST).write_bytes(b"x")
    with pytest.raises(UserError, match="there is no older one"):
        newest_checkpoint(tmp_path)


def test_a_damaged_best_checkpoint_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / BEST).write_bytes(b"x")
    with pytest.raises(UserError, match="is damaged") as alone:
        read_checkpoint(tmp_path / BEST)
    assert "predict.checkpoint: last" not in str(alone.value)
    (tmp_path / LAST).write_bytes(b"x")
    with pytest.raises(UserError, match=r"predict\.checkpoint: last") as beside:
        read_checkpoint(tmp_path / BEST)
    assert "\n" not in str(beside.value)


def test_an_input_file_that_vanishes(tmp_path: Path) -> None:
    sample = Path(__file__).resolve().parents[2] / "lartpc_sparse" / "data" / "sample" / "validation.h5"
    files = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in files:
        shutil.copy(sample, path)
    reader = VoxelsConfig(files=tuple(map(str, files))).build()
    reader.read(0)
    files[1].unlink()
    with pytest.raises(UserError, match=r"b\.h5"):
        reader.read(len(reader) - 1)


def spoil(monkeypatch: pytest.MonkeyPatch, *calls: int) -> None:
    """The loss of these calls is not a number."""
    real, count = Network.loss, [0]

    def loss(self: Network, *arguments: Any) -> dict[str, Any]:
        terms = real(self, *arguments)
        count[0] += 1
        return {name: value * float("nan") if count[0] in calls else value for name, value in terms.items()}

    monkeypatch.setattr(Network, "loss", loss)


def test_a_bad_loss_stops_and_keeps_the_batch(
    monkeypatch: pytest.MonkeyPatch, job_chain: JobChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, 2)
    assert main(job_chain("run", "data.validation=null")) == 5
    assert "leave such batches out with train.on_bad_loss: skip" in " ".join(capsys.readouterr().err.split())
    (kept,) = (tmp_path / "run" / "training").glob("bad_batch_*.npz")
    with np.load(kept, allow_pickle=False) as batch:
        assert len(batch["event_entry"]) == 2
        assert batch["offsets"][-1] == len(batch["coords"]) == len(batch["label_semantic"])


def test_a_bad_loss_is_left_out_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, job_chain: JobChain, tmp_path: Path
) -> None:
    spoil(monkeypatch, 1)
    options = ("data.validation=null", "train.epochs=1", "data.train.limit=2", "train.on_bad_loss=skip")
    assert main(job_chain("skipped", *options)) == 0
    monkeypatch.undo()
    assert main(job_chain("good", *options)) == 0
    states = [torch.load(tmp_path / name / "training" / LAST, weights_only=True) for name in ("skipped", "good")]
    skipped, good = (state["state_dict"] for state in states)
    assert all(torch.isfinite(value).all() for value in skipped.values())
    assert any(not torch.equal(skipped[name], good[name]) for name in good)
    assert not states[0]["optimizer_states"][0]["state"]  # no step was made, nor its moments
    running = [name for name in skipped if name.endswith("running_mean")]
    assert all((skipped[name] == 0).all() for name in running)
    assert training_log(tmp_path / "good")
    assert [event["event"] for event in events(tmp_path / "skipped")].count("bad_loss") == 1


def test_two_jobs_in_one_directory(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    first = runner.start(job_chain("run", "train.epochs=200"))
    until = time.monotonic() + 60
    while time.monotonic() < until and not (tmp_path / "run" / "run.lock").exists():
        time.sleep(0.01)
    owner = json.loads((tmp_path / "run" / "run.lock").read_text())
    assert owner["pid"] == first
    assert runner.run(job_chain("run")) == 3
    text = " ".join(runner.output.split())
    assert f"is in use by process {first} on {owner['host']}" in text
    assert runner.run([*job_chain("run", only="predict"), "--shard", "0/2"]) == 3
    os.kill(first, signal.SIGTERM)
    assert runner.wait(first) == 75
    assert not (tmp_path / "run" / "run.lock").exists()
    assert json.loads((tmp_path / "run" / "heartbeat.json").read_text())["alive"] is False


def test_a_clock_that_stands_still_loses_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            del tz
            return datetime(2026, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(train_step, "datetime", Clock)
    for number in range(3):
        (tmp_path / "training").mkdir()
        (tmp_path / "training" / "which").write_text(str(number))
        train_step._put_aside(tmp_path / "training")
    kept = sorted(path.read_text() for path in tmp_path.glob("training-until-*/which"))
    assert kept == ["0", "1", "2"]
