"""EventBatchSampler: every event once, budgets kept, ranks even, resumable."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lartpc_sparse.data.rank_shares import divide
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler, counts_for, pack_events
from lartpc_sparse.schema import UserError

counts_lists = st.lists(st.integers(0, 40), max_size=40)
batch_configs = st.one_of(
    st.integers(1, 7).map(lambda n: BatchConfig(events=n)), st.integers(1, 60).map(lambda n: BatchConfig(max_voxels=n))
)


def sampler(counts: list[int], batch: BatchConfig, **options: object) -> EventBatchSampler:
    settings_ = {"shuffle": True, "seed": 3, **options}
    return EventBatchSampler(np.array(counts, dtype=np.int64), batch, **settings_)  # type: ignore[arg-type]


def naive_budget(counts: list[int], order: list[int], budget: int) -> list[list[int]]:
    batches: list[list[int]] = []
    used = 0
    for event in order:
        size = max(counts[event], 1)
        if not batches or used + size > budget:
            batches.append([])
            used = 0
        batches[-1].append(event)
        used += size
    return batches


@given(counts_lists, batch_configs, st.booleans(), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_every_event_exactly_once(counts: list[int], batch: BatchConfig, shuffle: bool, epoch: int) -> None:
    batches = sampler(counts, batch, shuffle=shuffle).batches(epoch)
    events = [event for one in batches for event in one]
    assert sorted(events) == list(range(len(counts)))
    assert all(batches)
    if not shuffle:
        assert events == sorted(events)


@given(counts_lists, st.integers(1, 60), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_budget_packing_equals_a_plain_loop(counts: list[int], budget: int, random: object) -> None:
    order = list(range(len(counts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    batches, _ = pack_events(
        np.array(order, dtype=np.int64), np.array(counts, dtype=np.int64), BatchConfig(max_voxels=budget)
    )
    assert batches == naive_budget(counts, order, budget)
    for one in batches:
        assert len(one) == 1 or sum(counts[event] for event in one) <= budget


@given(counts_lists, batch_configs, st.integers(2, 4), st.booleans())
@settings(max_examples=80, deadline=None)
def test_ranks_share_an_epoch(counts: list[int], batch: BatchConfig, world_size: int, shuffle: bool) -> None:
    samplers = [sampler(counts, batch, shuffle=shuffle, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [one.batches(1) for one in samplers]
    assert len({len(share) for share in shares}) == 1
    seen = [event for share in shares for one in share for event in one if event != -1]
    assert sorted(seen) == list(range(len(counts)))  # each once: nothing is repeated, nothing dropped
    assert all(one == [-1] or -1 not in one for share in shares for one in share)
    for step in range(len(shares[0]) - 1):
        assert all(share[step] != [-1] for share in shares)  # only in the last batch a rank may have no event
    assert samplers[0].imbalance(1) >= 1.0
    if batch.max_voxels is not None:
        for share in shares:
            for one in share:
                voxels = sum(max(counts[event], 1) for event in one if event >= 0)
                assert len(one) == 1 or voxels <= batch.max_voxels


def test_ranks_have_the_batches_of_one_rank_with_larger_ones() -> None:
    counts = list(range(1, 24))
    alone = sampler(counts, BatchConfig(events=6)).batches(2)
    shares = [sampler(counts, BatchConfig(events=3), rank=rank, world_size=2).batches(2) for rank in (0, 1)]
    assert [sorted(one) for one in alone] == [sorted([*a, *b]) for a, b in zip(*shares, strict=True)]


def test_shares_are_about_even() -> None:
    rng = np.random.default_rng(3)
    counts = rng.lognormal(7.5, 1.0, 2000).astype(np.int64)
    batch = BatchConfig(events=8)
    divided = EventBatchSampler(counts, batch, shuffle=True, seed=1, rank=0, world_size=4).imbalance(0)
    in_turn = np.array([counts[n : n + 8].sum() for n in range(0, 2000, 8)][:248]).reshape(-1, 4)
    assert divided < 1.1
    assert divided - 1.0 < (in_turn.max(1).sum() / in_turn.mean(1).sum() - 1.0) / 3.0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=7), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_divided_within_the_bound_of_graham(counts: list[int], ranks: int) -> None:
    sizes = [max(count, 1) for count in counts]
    shares = divide(list(range(len(counts))), np.array(counts, dtype=np.int64), ranks)
    assert sorted(event for share in shares for event in share) == list(range(len(counts)))
    assert all(share == sorted(share) for share in shares)

    def largest(owners: Sequence[int]) -> int:
        return max(sum(size for size, owner in zip(sizes, owners, strict=True) if owner == r) for r in range(ranks))

    best = min(map(largest, itertools.product(range(ranks), repeat=len(sizes))))
    found = max(sum(sizes[event] for event in share) for share in shares)
    assert best <= found <= best * (4 / 3 - 1 / (3 * ranks)) + 1e-9


def test_order_depends_on_seed_and_epoch_only() -> None:
    one = sampler([1] * 50, BatchConfig(events=5))
    assert one.batches(4) == sampler([1] * 50, BatchConfig(events=5)).batches(4)
    assert one.batches(4) != one.batches(5)
    assert one.batches(4) != sampler([1] * 50, BatchConfig(events=5), seed=4).batches(4)
    assert one.batches(4) != [list(range(n, n + 5)) for n in range(0, 50, 5)]


@given(st.integers(0, 10))
@settings(max_examples=11, deadline=None)
def test_start_batch_leaves_out_the_first_batches(start: int) -> None:
    one = sampler([3] * 30, BatchConfig(events=3))
    one.set_epoch(2)
    whole = list(one)
    assert [index for pair in whole for _, index in pair] == [e for b in one.batches(2) for e in b]
    assert {epoch for pair in whole for epoch, _ in pair} == {2}
    one.set_epoch(2, start_batch=start)
    assert list(one) == whole[start:]
    assert len(one) == 10
    one.set_epoch(3)
    assert len(list(one)) == 10


def test_drop_last_drops_what_is_not_full() -> None:
    assert [len(b) for b in sampler([1] * 10, BatchConfig(events=4), drop_last=True).batches(0)] == [4, 4]
    assert [len(b) for b in sampler([1] * 8, BatchConfig(events=4), drop_last=True).batches(0)] == [4, 4]
    shares = [sampler([1] * 22, BatchConfig(events=4), drop_last=True, rank=r, world_size=2).batches(0) for r in (0, 1)]
    assert [len(share) for share in shares] == [2, 2]  # two full ones of 8 events; 6 are left over
    assert len({e for share in shares for one in share for e in one}) == 16
    voxels = sampler([10] * 5, BatchConfig(max_voxels=20), drop_last=True).batches(0)
    assert [len(b) for b in voxels] == [2, 2]


def test_drop_last_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="3 events do not fill one batch"):
        sampler([1] * 3, BatchConfig(events=4), drop_last=True).batches(0)


def test_no_events() -> None:
    empty = sampler([], BatchConfig(max_voxels=5), drop_last=True, world_size=2)
    assert len(empty) == 0
    assert list(empty) == []


def test_batch_config_wants_exactly_one_size() -> None:
    for wrong in ({}, {"events": 1, "max_voxels": 1}, {"events": 0}, {"max_voxels": -1}):
        with pytest.raises(ValidationError):
            BatchConfig(**wrong)


def test_bad_arguments_are_refused() -> None:
    batch = BatchConfig(events=2)
    with pytest.raises(ValueError, match="event 1 has -4 voxels"):
        sampler([1, -4], batch)
    with pytest.raises(ValueError, match="rank 2"):
        sampler([1], batch, rank=2, world_size=2)
    with pytest.raises(ValueError, match="seed"):
        sampler([1], batch, seed=-1)
    one = sampler([1] * 4, batch)
    with pytest.raises(ValueError, match="start_batch 3"):
        one.set_epoch(0, start_batch=3)
    with pytest.raises(ValueError, match="epoch"):
        one.set_epoch(-1)


def test_voxels_are_counted_only_for_a_voxel_budget() -> None:
    reader = SampleConfig(split="test", limit=5).build()
    assert counts_for(reader, BatchConfig(max_voxels=10)).tolist() == reader.num_voxels().tolist()
    assert counts_for(reader, BatchConfig(events=2)).tolist() == [0] * 5
