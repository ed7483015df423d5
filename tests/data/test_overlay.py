"""Events laid over one another: ids, particle tables, duplicates, bad partners, and where the choice comes from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from pydantic import ValidationError
from torch.utils.data import DataLoader
from transform_contract import assert_equal_events

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.overlay import Overlay, overlay_events
from lartpc_sparse.data.pipeline import DataConfig, OverlayConfig
from lartpc_sparse.data.prediction import scatter_to_input
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler
from lartpc_sparse.data.transforms import Flip, LogEnergy, RandomVoxelLoss, Transform
from lartpc_sparse.schema import BadEventError, UserError

IMAGE = (12, 12, 12)


def labelled(event: Event) -> Event:
    """With ids as files have them: instance -1 is none, tracks count from 1 and 0 is none."""
    n = len(event)
    rows = np.arange(n, dtype=np.int64)
    instance = rows % 4 - 1
    return event.replace(
        labels={
            "semantic": event.labels["semantic"],
            "instance": instance,
            "group": np.minimum(instance, 1),
            "interaction": np.minimum(instance, 0),
            "track_id": rows % 3,
        },
        particles={
            "fragment": np.array([-1, 0, 1, 2], dtype=np.int32),
            "group": np.array([-1, 0, 1, 1], dtype=np.int32),
            "track_id": np.array([0, 1, 2, 7], dtype=np.uint64),
            "parent_track_id": np.array([0, 0, 1, 2**64 - 1], dtype=np.uint64),
            "momentum": np.ones((4, 3), dtype=np.float32),
        },
    )


class MemoryReader:
    """Random events; those in `bad` cannot be read."""

    def __init__(self, number: int, bad: tuple[int, ...] = (), file: str = "made.h5") -> None:
        self.files: tuple[str, ...] = (file,)
        self.image_size: tuple[int, ...] = IMAGE
        self.classes: tuple[str, ...] = ("track", "shower", "delta")
        self._number, self._bad = number, bad

    def __len__(self) -> int:
        return self._number

    def key(self, index: int) -> EventKey:
        return EventKey(self.files[0], index)

    def num_voxels(self) -> np.ndarray:
        return np.array([10 * (index % 5) for index in range(self._number)], dtype=np.int64)

    def read(self, index: int) -> Event:
        if index in self._bad:
            raise BadEventError(f"{self.key(index)}: coords are broken")
        return labelled(random_event(index, 10 * (index % 5), IMAGE, entry=index)).replace(key=self.key(index))


@given(st.sampled_from([2, 3]), st.data())
def test_every_row_keeps_its_numbers_apart_from_all_others(dim: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    drawn = [data.draw(recipes().filter(lambda r: len(r.image_size) == dim)) for _ in range(count)]
    size = tuple(np.max([recipe.image_size for recipe in drawn], axis=0).tolist())
    events = [labelled(Recipe(recipe.coords, recipe.energy, size).event()) for recipe in drawn]
    image = overlay_events(events)
    assert len(image) == sum(map(len, events))
    assert image.energy.sum() == pytest.approx(sum(float(event.energy.sum()) for event in events), rel=1e-5)
    number = image.labels["overlay"]
    table = image.particles["overlay"]
    assert table.tolist() == [n for n in range(count) for _ in range(4)]
    for n, event in enumerate(events):
        rows, lines = number == n, table == n
        np.testing.assert_array_equal(image.coords[rows], event.coords)
        for name, column in event.labels.items():
            found = image.labels[name][rows]
            assert found.dtype == column.dtype
            none = column <= 0 if name == "track_id" else column < 0
            if name == "semantic":
                none[:] = True
            np.testing.assert_array_equal(found[none], column[none])
            shift = np.unique(found[~none] - column[~none])
            assert len(shift) <= 1
        # The table goes with the voxels: an instance has its line, and a track its parent.
        shifts = image.particles["fragment"][lines].astype(np.int64) - event.particles["fragment"]
        assert len(set(shifts[1:].tolist())) == 1
        assert shifts[0] == 0
        fragments = image.particles["fragment"][lines].tolist()
        assert set(image.labels["instance"][rows].tolist()) <= set(fragments)
        tracks, parents = image.particles["track_id"][lines], image.particles["parent_track_id"][lines]
        assert tracks[0] == parents[0] == parents[1] == 0
        assert parents[2] == tracks[1]
        assert parents[3] == 2**64 - 1
    for name in ("instance", "group", "interaction", "track_id"):
        pairs = {(n, v) for n, v in zip(number.tolist(), image.labels[name].tolist(), strict=True) if v >= 0}
        used = {v for _, v in pairs if v > 0 or name != "track_id"}
        assert len(used) == len({(n, v) for n, v in pairs if v > 0 or name != "track_id"}), name


def test_instances_are_a_partition_after_voxels_in_common_are_joined() -> None:
    data = EventDataset(MemoryReader(30), [], seed=1, overlay=Overlay(MemoryReader(30), (2, 3), 1.0))
    seen = 0
    for index in range(30):
        raw, event = data.read_pair((0, index))
        assert len(np.unique(event.coords, axis=0)) == len(event)
        assert event.energy.sum() == pytest.approx(raw.energy.sum(), rel=1e-5)
        assert len(event.inverse_index) == len(raw)
        np.testing.assert_array_equal(event.coords[event.inverse_index], raw.coords)
        seen += len(raw) - len(event)
        for name in ("instance", "group"):
            owner: dict[int, int] = {}
            for number, value in zip(event.labels["overlay"], event.labels[name], strict=True):
                assert value < 0 or owner.setdefault(int(value), int(number)) == number
        back = scatter_to_input(event.energy, event.inverse_index, np.nan)
        assert np.isfinite(back).all()
        energies = {tuple(c): e for c, e in zip(event.coords.tolist(), event.energy, strict=True)}
        summed: dict[tuple[int, ...], float] = {}
        for c, e in zip(raw.coords.tolist(), raw.energy, strict=True):
            summed[tuple(c)] = summed.get(tuple(c), 0.0) + float(e)
        assert energies == pytest.approx(summed, rel=1e-6)
    assert seen > 0, "no voxels in common: the test shows nothing"


def test_priority_decides_voxels_in_common() -> None:
    low, high = make_event([[1, 1, 1]], [1.0], semantic=[2]), make_event([[1, 1, 1]], [5.0], semantic=[0])

    class Two(MemoryReader):
        def read(self, index: int) -> Event:
            return (low, high)[index]

    for priority, wanted in (((), 0), (("delta",), 2)):
        data = EventDataset(Two(2), [], seed=0, overlay=Overlay(Two(2), (1, 1), 1.0, priority=priority))
        assert data[0, 0].labels["semantic"].tolist() == [wanted]
        assert data[0, 0].energy.tolist() == [6.0]


def test_partners_are_other_events_and_as_many_as_asked_for() -> None:
    same, other = Overlay(MemoryReader(6), (0, 3), 0.8), Overlay(MemoryReader(6), (0, 3), 0.8, same=False)
    for overlay, choices in ((same, {0, 1, 2, 4, 5}), (other, set(range(6)))):
        drawn = [overlay.partners(3, np.random.default_rng(seed)) for seed in range(2000)]
        assert all(len(set(partners)) == len(partners) for partners in drawn)
        assert {partner for partners in drawn for partner in partners} == choices
        counts = np.bincount([len(partners) for partners in drawn], minlength=4) / 2000
        np.testing.assert_allclose(counts, [0.4, 0.2, 0.2, 0.2], atol=5 * np.sqrt(0.24 / 2000))
        picked = np.bincount([partner for partners in drawn for partner in partners])
        assert picked[list(choices)].min() > 0.85 * picked.max()
    assert same.mean_voxels() == round(0.8 * 1.5 * MemoryReader(6).num_voxels().mean())
    with pytest.raises(UserError, match="up to 3 added events, but there are 2 other events"):
        Overlay(MemoryReader(3), (1, 3))
    Overlay(MemoryReader(3), (1, 3), same=False)


TRANSFORMS: list[Transform] = [Flip(), RandomVoxelLoss(0.2), LogEnergy()]


def make_dataset(**options: object) -> EventDataset:
    reader = MemoryReader(20)
    return EventDataset(reader, TRANSFORMS, seed=5, overlay=Overlay(reader, (1, 2), 0.7), **options)  # type: ignore[arg-type]


def test_the_choice_is_a_function_of_seed_epoch_and_event() -> None:
    one, other = make_dataset(), make_dataset()
    events = {(epoch, index): one[epoch, index] for epoch in (0, 3) for index in range(20)}
    for where in reversed(list(events)):
        assert_equal_events(other[where], events[where])
    assert any(len(events[0, index]) != len(events[3, index]) for index in range(20))
    reader = MemoryReader(20)
    seed6 = EventDataset(reader, TRANSFORMS, seed=6, overlay=Overlay(reader, (1, 2), 0.7))
    assert any(len(seed6[0, index]) != len(events[0, index]) for index in range(20))
    # The transforms draw the same numbers with and without an overlay.
    flip, none = EventDataset(reader, [Flip()], seed=5), Overlay(reader, (1, 2), 0.0)
    quiet = EventDataset(reader, [Flip()], seed=5, overlay=none)
    for index in range(1, 5):
        a, b = flip[0, index], quiet[0, index]
        assert {tuple(c) for c in a.coords.tolist()} == {tuple(c) for c in b.coords.tolist()}
        assert set(b.labels["overlay"].tolist()) == {0}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_and_a_resumed_epoch_give_the_same_events(method: str) -> None:
    data = make_dataset()
    sampler = EventBatchSampler(data.num_voxels(), BatchConfig(max_voxels=100), shuffle=True, seed=5)

    def run(workers: int, start_batch: int = 0) -> list[Batch]:
        sampler.set_epoch(2, start_batch)
        context = method if workers else None
        return list(
            DataLoader(
                data, batch_sampler=sampler, num_workers=workers, collate_fn=collate, multiprocessing_context=context
            )
        )

    whole = run(0)
    half = len(whole) // 2
    for found in ([*run(2)], [*whole[:half], *run(2, half)]):
        assert len(found) == len(whole)
        for one, other in zip(found, whole, strict=True):
            assert one.keys == other.keys
            for name in ("coords", "feats", "energy", "offsets"):
                assert getattr(one, name).equal(getattr(other, name))
            assert one.labels.keys() == other.labels.keys()
            assert all(one.labels[name].equal(other.labels[name]) for name in one.labels)


def test_a_bad_partner_fails_or_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    good, noise = MemoryReader(6), MemoryReader(4, bad=(1,), file="noise.h5")
    overlay = Overlay(noise, (4, 4), 1.0, same=False)
    with pytest.raises(BadEventError, match=r"noise\.h5 entry 1: coords are broken"):
        EventDataset(good, [], seed=0, overlay=overlay)[0, 2]
    data = EventDataset(good, [], seed=0, on_bad_event="skip", overlay=overlay)
    with caplog.at_level(logging.WARNING, logger="lartpc_sparse"):
        raw, event = data.read_pair((0, 2))
    assert event.key == EventKey("made.h5", 2)
    assert bad_event_reason(event) is None
    assert len(raw) == 20 + 0 + 20 + 30
    assert data.bad_events == [(EventKey("noise.h5", 1), "noise.h5 entry 1: coords are broken")]
    assert "left out of an overlay" in caplog.text


def test_a_bad_event_is_skipped_with_the_labels_of_the_others() -> None:
    reader = MemoryReader(6, bad=(2,))
    data = EventDataset(reader, [], seed=0, on_bad_event="skip", overlay=Overlay(reader, (1, 1), 1.0))
    events = [data[0, 2], data[0, 3]]
    assert len(events[0]) == 0
    assert "broken" in str(bad_event_reason(events[0]))
    assert "overlay" in collate(events).labels


def test_events_of_another_kind_are_refused() -> None:
    event = labelled(random_event(0, 5, IMAGE))
    for other, message in (
        (event.replace(image_size=(13, 12, 12)), "image_size"),
        (event.replace(classes=("a", "b", "c")), "classes"),
        (Flip(probability=1.0)(event, np.random.default_rng(0)), "frame"),
        (event.replace(feats=np.ones((5, 2), np.float32)), "2 features"),
        (event.with_labels(pid=np.zeros(5, np.int64)), "other labels"),
        (event.with_labels(semantic=np.zeros(5, np.float64)), "semantic of type float64"),
        (event.with_labels(instance=np.zeros(5, np.float32)), "instance numbers things"),
        (event.replace(particles={**event.particles, "more": np.zeros(4)}), "other particle columns"),
        (event.replace(particles={**event.particles, "group": np.full(4, 2**31 - 2, np.int32)}), "too small"),
    ):
        with pytest.raises(UserError, match=message):
            overlay_events([event, other])
    without = event.replace(particles={})
    assert overlay_events([event, without]).particles["overlay"].tolist() == [0] * 4
    assert overlay_events([without, without]).particles == {}


def test_further_id_columns() -> None:
    event = random_event(0, 3).with_labels(shower=np.array([-1, 0, 4]))
    assert overlay_events([event, event], ("shower",)).labels["shower"].tolist() == [-1, 0, 4, -1, 5, 9]
    assert overlay_events([event, event]).labels["shower"].tolist() == [-1, 0, 4] * 2


def test_section_overlay_of_a_chain(tmp_path: Path) -> None:
    sample = SampleConfig(split="test", limit=4)
    data = DataConfig.model_validate(
        {
            "train": sample.model_dump(),
            "overlay": {"count": [1, 2], "reader": {"kind": "sample", "split": "train"}, "use": ["train", "test"]},
        }
    )
    assert DataConfig.model_validate(data.model_dump(mode="json")) == data
    reader = sample.build()
    overlay = data.overlay_on(reader, "train")
    assert overlay is not None
    assert (overlay.same, len(overlay.reader)) == (False, 320)
    assert data.overlay_on(reader, "validation") is None
    assert DataConfig().overlay_on(reader, "train") is None
    own = OverlayConfig(probability=1.0, priority=("HIP", "MIP", "shower", "delta", "Michel")).build(reader)
    assert own.same
    dataset = EventDataset(reader, [], seed=3, overlay=own)
    raw, event = dataset.read_pair((0, 0))
    assert set(raw.labels["overlay"].tolist()) == {0, 1}
    assert len(event) <= len(raw)
    assert dataset.num_voxels().sum() > reader.num_voxels().sum()
    with pytest.raises(UserError, match=r"data\.overlay\.reader has image_size \(768, 768, 768\)"):
        OverlayConfig(reader=sample).build(MemoryReader(4))
    for wrong in ({"count": [2, 1]}, {"count": [-1, 1]}, {"probability": 2}, {"use": []}, {"reader": "same"}):
        with pytest.raises(ValidationError):
            OverlayConfig.model_validate(wrong)
