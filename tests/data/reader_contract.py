"""What every reader must do. A reader opts in with a subclass that has `config` (and no more than it needs)."""

from __future__ import annotations

import os
import pickle
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from torch.utils.data import DataLoader, Dataset

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import Reader, ReaderConfig
from lartpc_sparse.schema import OneOf, UserError


def assert_same_event(one: Event, other: Event) -> None:
    """Every field equal, types included."""
    assert (one.key, one.image_size, one.classes) == (other.key, other.image_size, other.classes)
    for name in ("coords", "energy", "feats", "inverse_index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in ("labels", "particles"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.keys() == theirs.keys()
        for column in mine:
            np.testing.assert_array_equal(mine[column], theirs[column], strict=True, err_msg=column)


class _Dataset(Dataset[Event]):
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Event:
        return self.reader.read(index)


def _process(events: list[Event]) -> tuple[int, Event]:
    return os.getpid(), events[0]


class ReaderContract(ABC):
    """Tests of the seam; the files of `config` hold at least six events.

    Attributes:
        labels: that the events have at least.
    """

    labels: frozenset[str] = frozenset({"semantic", "instance"})

    @abstractmethod
    def config(self, folder: Path, **options: Any) -> ReaderConfig:
        """A configuration whose files lie in `folder` (made now if they are not there yet)."""

    @pytest.fixture
    def reader(self, tmp_path: Path) -> Reader:
        return self.config(tmp_path).build()

    def test_is_a_reader(self, reader: Reader) -> None:
        assert isinstance(reader, Reader)
        assert len(reader) >= 6

    def test_config_survives_a_round_trip_through_the_union(self, tmp_path: Path) -> None:
        config = self.config(tmp_path)
        union = TypeAdapter(Annotated[ReaderConfig, OneOf(type(config))])
        assert union.validate_python(config.model_dump(mode="json")) == config

    def test_events_have_the_promised_types(self, reader: Reader) -> None:
        for index in range(len(reader)):
            event = reader.read(index)
            assert event.key == reader.key(index)
            assert (event.image_size, event.classes) == (reader.image_size, reader.classes)
            assert [event.coords.dtype, event.energy.dtype] == [np.dtype(np.int32), np.dtype(np.float32)]
            assert ((event.coords >= 0) & (event.coords < np.array(reader.image_size))).all()
            np.testing.assert_array_equal(event.feats[:, 0], event.energy)
            np.testing.assert_array_equal(event.inverse_index, np.arange(len(event)))
            assert {column.dtype for column in event.labels.values()} <= {np.dtype(np.int64), np.dtype(np.float32)}
            assert self.labels <= event.labels.keys()
            if "semantic" in self.labels:
                assert set(np.unique(event.labels["semantic"])) <= set(range(-1, len(reader.classes)))
            assert len({len(column) for column in event.particles.values()}) <= 1

    def test_files_are_those_of_the_keys(self, reader: Reader) -> None:
        assert {reader.key(index).file for index in range(len(reader))} <= set(reader.files)

    def test_keys_are_unique_and_name_files_that_exist(self, reader: Reader) -> None:
        keys = [reader.key(index) for index in range(len(reader))]
        assert len(set(keys)) == len(keys)
        assert all(Path(key.file).is_file() for key in keys)

    @pytest.mark.parametrize("shift", [0, 5])
    def test_index_outside_is_refused(self, reader: Reader, shift: int) -> None:
        for index in (len(reader) + shift, -1 - shift):
            with pytest.raises(IndexError, match=str(index)):
                reader.read(index)
            with pytest.raises(IndexError):
                reader.key(index)

    def test_num_voxels_is_the_length_of_every_event(self, reader: Reader) -> None:
        counts = reader.num_voxels()
        assert counts.dtype == np.int64
        assert counts.tolist() == [len(reader.read(index)) for index in range(len(reader))]
        assert reader.num_voxels() is counts

    def test_order_of_reading_does_not_matter(self, tmp_path: Path) -> None:
        forward, random = self.config(tmp_path).build(), self.config(tmp_path).build()
        events = [forward.read(index) for index in range(len(forward))]
        for index in np.random.default_rng(0).permutation(len(random)).tolist() * 2:
            assert_same_event(random.read(index), events[index])

    def test_a_pickled_reader_reads_the_same(self, reader: Reader) -> None:
        event = reader.read(1)  # files are open now
        again = pickle.loads(pickle.dumps(reader))
        assert len(again) == len(reader)
        assert_same_event(again.read(1), event)
        assert_same_event(reader.read(1), event)

    def test_works_in_forked_workers_after_use_in_the_parent(self, reader: Reader) -> None:
        events = [reader.read(index) for index in range(len(reader))]
        loader = DataLoader(
            _Dataset(reader), batch_size=1, num_workers=2, collate_fn=_process, multiprocessing_context="fork"
        )
        results = list(loader)
        assert {process for process, _ in results}.isdisjoint({os.getpid()})
        for (_, found), event in zip(results, events, strict=True):
            assert_same_event(found, event)

    @pytest.mark.parametrize(
        ("options", "window"),
        [
            ({"limit": 2}, slice(0, 2)),
            ({"select": (1, 4)}, slice(1, 4)),
            ({"select": (4, 6), "limit": 1}, slice(4, 5)),
            ({"select": (3, 10**6)}, slice(3, None)),
            ({"limit": 10**6}, slice(None)),
        ],
    )
    def test_a_window_is_a_slice_of_the_whole(self, tmp_path: Path, options: dict[str, Any], window: slice) -> None:
        whole, part = self.config(tmp_path).build(), self.config(tmp_path, **options).build()
        wanted = list(range(len(whole)))[window]
        assert len(part) == len(wanted)
        np.testing.assert_array_equal(part.num_voxels(), whole.num_voxels()[window])
        for index, original in enumerate(wanted):
            assert_same_event(part.read(index), whole.read(original))

    def test_a_window_after_the_end_is_refused(self, tmp_path: Path) -> None:
        config = self.config(tmp_path, select=(10**6, 10**6 + 1))
        with pytest.raises(UserError, match="select starts at event 1000000"):
            config.build()
