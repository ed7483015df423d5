"""The tables of the Triton engine: every pair kept, rows in the order of their slots, tiles that skip."""

from __future__ import annotations

import itertools

import pytest
import torch
from thin_tracks import thin_tracks
from voxel_batches import sample

from lartpc_sparse.sparse import KernelMap, Plan
from lartpc_sparse.sparse.engines.triton_engine import TritonEngine
from lartpc_sparse.sparse.engines.triton_engine.gather_table import ROW_QUANTUM, GatherTable, gradient_table
from lartpc_sparse.sparse.engines.triton_engine.pair_chunks import PairChunking, chunk_size


def crowded_map(size: int) -> KernelMap:
    voxels = sample(3)
    return Plan.build(voxels.coords, voxels.offsets, TritonEngine()).submanifold_map((1, 1, 1), (size,) * 3)


def gray_rank(mask: int) -> int:
    """Position of a mask along the reflected Gray code."""
    rank = 0
    while mask:
        rank, mask = rank ^ mask, mask >> 1
    return rank


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_table_holds_every_pair_once(size: int, backwards: bool) -> None:
    kernel_map = crowded_map(size)
    kernel_map = kernel_map.transposed if backwards else kernel_map
    table = GatherTable.of(kernel_map)
    assert table.in_row.shape[1] % ROW_QUANTUM == 0
    slot, column = torch.nonzero(table.in_row >= 0, as_tuple=True)
    found = zip(table.in_row[slot, column].tolist(), table.out_row[column].tolist(), slot.tolist(), strict=True)
    expected = (kernel_map.in_index.tolist(), kernel_map.out_index.tolist(), kernel_map.slot_index.tolist())
    assert sorted(found) == sorted(zip(*expected, strict=True))
    assert sorted(table.out_row[table.out_row >= 0].tolist()) == list(range(kernel_map.num_out))


@pytest.mark.parametrize("size", [3, 5])
def test_rows_follow_the_gray_code_of_their_masks(size: int) -> None:
    kernel_map = crowded_map(size)
    table = GatherTable.of(kernel_map)
    counts = [stop - start for start, stop in itertools.pairwise(kernel_map.slot_starts)]
    rarest_first = sorted(range(len(counts)), key=counts.__getitem__)
    columns = (table.in_row[rarest_first, : kernel_map.num_out] >= 0).T.tolist()
    ranks = [gray_rank(int("".join("1" if bit else "0" for bit in column), 2)) for column in columns]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) > 10
    rows = table.out_row.tolist()
    same = [n for n in range(1, len(ranks)) if ranks[n] == ranks[n - 1]]
    assert all(rows[n] > rows[n - 1] for n in same)


@pytest.mark.parametrize("block", [16, 64, 512])
def test_a_tile_visits_the_slots_that_its_rows_have(block: int) -> None:
    table = GatherTable.of(crowded_map(5))
    tiles = table.tiles(block)
    assert tiles is table.tiles(block)
    assert sorted(tiles.tile.tolist()) == list(range(table.in_row.shape[1] // block))
    assert tiles.count.tolist() == sorted(tiles.count.tolist(), reverse=True)
    for tile, slots, count in zip(tiles.tile.tolist(), tiles.slots.tolist(), tiles.count.tolist(), strict=True):
        needed = (table.in_row[:, tile * block : (tile + 1) * block] >= 0).any(dim=1)
        assert slots[:count] == torch.nonzero(needed).squeeze(1).tolist()


def test_the_order_spares_slots_on_thin_tracks() -> None:
    voxels = thin_tracks()
    kernel_map = Plan.build(voxels.coords, voxels.offsets, TritonEngine()).submanifold_map((1, 1, 1), (3, 3, 3))
    tile_of_row = torch.arange(kernel_map.num_out) // 16
    unordered = len(torch.unique(tile_of_row[kernel_map.out_index] * 27 + kernel_map.slot_index))
    assert int(GatherTable.of(kernel_map).tiles(16).count.sum()) < 0.75 * unordered


def test_a_submanifold_map_needs_no_second_table() -> None:
    kernel_map = crowded_map(3)
    table, mirrored = gradient_table(kernel_map)
    assert mirrored
    assert table is GatherTable.of(kernel_map)
    backwards = GatherTable.of(kernel_map.transposed)
    # Read backwards, slot k reads what slot K - 1 - k reads forwards.
    forwards = {row: table.in_row[:, n].flip(0).tolist() for n, row in enumerate(table.out_row.tolist()) if row >= 0}
    for n, row in enumerate(backwards.out_row.tolist()):
        assert row < 0 or backwards.in_row[:, n].tolist() == forwards[row]


def test_other_maps_are_not_taken_for_symmetric() -> None:
    made = crowded_map(3)
    by_hand = KernelMap(made.in_index, made.out_index, made.slot_starts, made.num_in, made.num_out, made.identity_slot)
    table, mirrored = gradient_table(by_hand)
    assert not mirrored
    assert table is GatherTable.of(by_hand.transposed)


def test_what_a_table_cannot_hold_is_refused() -> None:
    row = torch.tensor([0, 0])
    with pytest.raises(ValueError, match="same output row twice"):
        GatherTable.of(KernelMap(torch.tensor([0, 1]), row, (0, 2), 2, 1))
    with pytest.raises(ValueError, match="2147483648 voxels in one batch"):
        GatherTable.of(KernelMap(row[:0], row[:0], (0, 0), 2**31, 1))


def test_chunks_cover_the_pairs_slot_by_slot() -> None:
    kernel_map = crowded_map(3)
    chunks = PairChunking.of(kernel_map).chunks(100)
    assert PairChunking.of(kernel_map).chunks(100) is chunks
    cuts = list(zip(chunks.start.tolist(), chunks.stop.tolist(), strict=True))
    assert [n for start, stop in cuts for n in range(start, stop)] == list(range(len(kernel_map.in_index)))
    assert max(stop - start for start, stop in cuts) <= 100
    for k, (first, last) in enumerate(itertools.pairwise(chunks.of_slot.tolist())):
        slot = cuts[first:last]
        assert (slot[0][0], slot[-1][1]) == kernel_map.slot_starts[k : k + 2]


def test_chunks_of_no_pairs() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    chunks = PairChunking.of(KernelMap(nothing, nothing, (0, 0, 0), 1, 1)).chunks(256)
    assert len(chunks) == 0
    assert chunks.of_slot.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("pairs", "tiles", "size"), [(0, 1, 256), (2048 * 256, 1, 256), (2048 * 256 + 2048, 1, 512), (10**9, 9, 16384)]
)
def test_chunks_grow_with_the_work(pairs: int, tiles: int, size: int) -> None:
    assert chunk_size(pairs, tiles) == size
