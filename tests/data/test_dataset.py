"""EventDataset: stateless randomness, bad events, and the loader around it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import make_event, random_event
from torch.utils.data import DataLoader

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason, event_rng
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler
from lartpc_sparse.data.transforms import Flip, LogEnergy, MaskBoxes, Transform
from lartpc_sparse.schema import BadEventError, UserError

IMAGE = (16, 16, 16)


class MemoryReader:
    """Random events; those in `bad` cannot be read."""

    def __init__(self, number: int, bad: tuple[int, ...] = (), nan: tuple[int, ...] = ()) -> None:
        self.files: tuple[str, ...] = ("made.h5",)
        self.image_size: tuple[int, ...] = IMAGE
        self.classes: tuple[str, ...] = ("track", "shower", "delta")
        self._number, self._bad, self._nan = number, bad, nan

    def __len__(self) -> int:
        return self._number

    def key(self, index: int) -> EventKey:
        return EventKey("made.h5", index)

    def num_voxels(self) -> np.ndarray:
        return np.array([index % 7 for index in range(self._number)], dtype=np.int64)

    def read(self, index: int) -> Event:
        if index in self._bad:
            raise BadEventError(f"{self.key(index)}: coords are broken")
        event = random_event(index, index % 7, IMAGE, entry=index)
        if index in self._nan:
            event = make_event([[1, 2, 3]], [np.nan], entry=index)
        return event.with_labels(pid=np.zeros(len(event), np.int8))


class AddNoise:
    """Makes the generator visible: adds a random number to every feature."""

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        return event.replace(feats=(event.feats + rng.random()).astype(np.float32))


def numbers(seed: int, epoch: int, index: int, position: int) -> list[int]:
    return [int(n) for n in event_rng(seed, epoch, index, position).integers(0, 2**62, 4)]


quadruples = st.tuples(*[st.one_of(st.integers(0, 5), st.integers(0, 2**40))] * 4)


@given(quadruples, quadruples)
@settings(max_examples=100, deadline=None)
def test_streams_are_equal_exactly_for_equal_numbers(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    assert (numbers(*one) == numbers(*two)) == (one == two)


def test_streams_of_neighbours_share_nothing() -> None:
    streams = [
        event_rng(seed, epoch, index, position).integers(0, 2**62, 50)
        for seed in (0, 1)
        for epoch in (0, 1)
        for index in range(4)
        for position in range(3)
    ]
    values = np.concatenate(streams)
    assert len(np.unique(values)) == len(values)
    uniform = event_rng(0, 0, 0, 0).random(2000)
    assert uniform.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 2000))


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        event_rng(1, -1, 0, 0)
    with pytest.raises(ValueError, match="seed"):
        EventDataset(MemoryReader(1), [], seed=-1)


def test_an_event_depends_on_seed_epoch_and_index_only() -> None:
    transforms: list[Transform] = [Flip(), AddNoise(), MaskBoxes(size=3)]
    one = EventDataset(MemoryReader(20), transforms, seed=5)
    other = EventDataset(MemoryReader(20), transforms, seed=5)
    for index in reversed(range(20)):
        other[0, index]
    for epoch, index in [(0, 6), (3, 6), (0, 13)]:
        np.testing.assert_array_equal(one[epoch, index].coords, other[epoch, index].coords)
        np.testing.assert_array_equal(one[epoch, index].feats, other[epoch, index].feats)
    noise = EventDataset(MemoryReader(20), [AddNoise()], seed=5)
    assert noise[0, 6].feats[0] != noise[1, 6].feats[0]
    assert noise[0, 6].feats[0] != EventDataset(MemoryReader(20), [AddNoise()], seed=6)[0, 6].feats[0]
    first = noise[0, 6].feats - noise[0, 6].energy[:, None]
    both = EventDataset(MemoryReader(20), [AddNoise(), AddNoise()], seed=5)[0, 6]
    assert not np.allclose(both.feats - both.energy[:, None], 2 * first)  # each position has its own stream


def test_a_bad_event_fails_by_default() -> None:
    data = EventDataset(MemoryReader(5, bad=(2,)), [], seed=0)
    assert len(data) == 5
    assert bad_event_reason(data[0, 1]) is None
    with pytest.raises(BadEventError, match=r"made\.h5 entry 2"):
        data[0, 2]


@pytest.mark.parametrize("read_first", [(), (5,)])
def test_a_skipped_event_keeps_its_key_and_the_labels_of_the_batch(
    read_first: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    data = EventDataset(
        MemoryReader(6, bad=(0, 2), nan=(3,)), [LogEnergy(), MaskBoxes(size=3)], seed=0, on_bad_event="skip"
    )
    for index in read_first:
        data[0, index]
    with caplog.at_level(logging.WARNING, logger="lartpc_sparse"):
        events = [data[0, index] for index in (0, 4, 3)]
    assert [len(event) > 0 for event in events] == [False, True, False]
    empty = events[0]
    assert empty.key == EventKey("made.h5", 0)
    assert empty.image_size == IMAGE
    assert empty.classes == ("track", "shower", "delta")
    assert {name: column.dtype for name, column in empty.labels.items()} == {
        name: column.dtype for name, column in events[1].labels.items()
    }
    assert empty.feats.shape == (0, 1)
    assert len(empty.inverse_index) == 0
    assert [bad_event_reason(event) is None for event in events] == [False, True, False]
    assert bad_event_reason(empty) == "made.h5 entry 0: coords are broken"
    assert "energy is nan" in str(bad_event_reason(events[2]))  # a transform refused this one
    assert [key.entry for key, _ in data.bad_events] == [0, 3]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "coords are broken" in caplog.text
    batch = collate(events)
    assert {"semantic", "instance", "pid", "candidate"} <= set(batch.labels)


def test_read_pair_gives_the_event_before_and_after_the_transforms() -> None:
    reader = MemoryReader(8, bad=(2,))
    data = EventDataset(reader, [AddNoise(), MaskBoxes(size=3)], seed=0, on_bad_event="skip")
    raw, transformed = data.read_pair((1, 6))
    np.testing.assert_array_equal(raw.coords, reader.read(6).coords)
    assert set(raw.labels) == {"semantic", "instance", "pid"}
    np.testing.assert_array_equal(transformed.feats, data[1, 6].feats)
    raw, transformed = data.read_pair((1, 2))
    assert (len(raw), len(transformed)) == (0, 0)
    assert raw.key == transformed.key == EventKey("made.h5", 2)
    assert bad_event_reason(transformed) == "made.h5 entry 2: coords are broken"


def test_nothing_readable_is_an_error() -> None:
    data = EventDataset(MemoryReader(2, bad=(0, 1)), [], seed=0, on_bad_event="skip")
    with pytest.raises(UserError, match="none of the 2 events"):
        data[0, 0]


def test_wrong_indices_are_refused() -> None:
    data = EventDataset(MemoryReader(3), [], seed=0)
    for index in (3, -2):  # -1 is the filler of a rank without an event
        with pytest.raises(IndexError):
            data[0, index]
    with pytest.raises(TypeError):
        data[1]  # type: ignore[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_loader_continues_an_uninterrupted_one(workers: int) -> None:
    reader = MemoryReader(20, bad=(3,))
    data = EventDataset(reader, [AddNoise()], seed=1, on_bad_event="skip")
    sampler = EventBatchSampler(reader.num_voxels(), BatchConfig(max_voxels=12), shuffle=True, seed=1)

    def run(start_batch: int) -> list[Batch]:
        sampler.set_epoch(2, start_batch)
        return list(DataLoader(data, batch_sampler=sampler, num_workers=workers, collate_fn=collate))

    whole, resumed = run(0), run(3)
    assert len(whole) == len(sampler)
    assert sorted(key.entry for batch in whole for key in batch.keys) == list(range(20))
    assert [key.entry for batch in whole for key in batch.keys] == [e for b in sampler.batches(2) for e in b]
    assert len(resumed) == len(whole) - 3
    for one, other in zip(whole[3:], resumed, strict=True):
        assert one.keys == other.keys
        assert one.feats.equal(other.feats)
        assert one.coords.equal(other.coords)
    reasons = [bad_event_reason(event) for batch in whole for event in batch.events if event.key.entry == 3]
    assert reasons == ["made.h5 entry 3: coords are broken"]
