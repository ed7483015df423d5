"""Properties of every engine: it knows neither row order, nor origin, nor neighbours in the batch, nor threads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from voxel_batches import Voxels, batches, edge_cases, for_every_engine, from_events, sample

from lartpc_sparse.sparse import Engine, SparseTensor, concatenate
from lartpc_sparse.sparse.operations import pool, strided_conv, submanifold_conv, transposed_conv


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features_of(voxels: Voxels, channels: int = 2) -> Tensor:
    """Features that depend on the voxel's row only."""
    return normal(len(voxels), channels, seed=len(voxels))


def small_unet(x: SparseTensor) -> tuple[SparseTensor, SparseTensor]:
    """Every operation once: two levels down and up again; returns the bottom and the top."""
    device, dim = x.feats.device, x.dim
    three, two = (3,) * dim, (2,) * dim

    def weight(size: int, c_in: int, c_out: int, seed: int) -> Tensor:
        return normal(size**dim, c_in, c_out, seed=seed).to(device)

    top = submanifold_conv(x, weight(3, x.feats.shape[1], 4, 1), three)
    middle = concatenate(strided_conv(top, weight(3, 4, 3, 2), three, two), pool(top, two, two, "mean"))
    bottom = submanifold_conv(strided_conv(middle, weight(2, 7, 4, 3), two, two), weight(3, 4, 4, 4), three)
    up = transposed_conv(bottom, weight(2, 4, 3, 5), two, two)
    up = transposed_conv(concatenate(up, middle), weight(3, 10, 3, 6), three, two)
    return bottom, concatenate(up, top)


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PropertyContract:
    """Symmetries; `EngineContract` says how to opt in."""

    device: str

    def tensor(self, voxels: Voxels, feats: Tensor, engine: Engine) -> SparseTensor:
        return SparseTensor.build(
            voxels.coords.to(self.device), feats.to(self.device), voxels.offsets.to(self.device), engine
        )

    @staticmethod
    def assert_same(actual: Tensor, expected: Tensor) -> None:
        """Equal up to the order of float32 sums; the values of `small_unet` reach some thousands."""
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-2)

    @for_every_engine
    @given(voxels=batches(), data=st.data())
    def test_rows_may_come_in_any_order(self, engine: Engine, voxels: Voxels, data: st.DataObject) -> None:
        order: list[int] = []
        for start, stop in itertools.pairwise(voxels.offsets.tolist()):
            order += data.draw(st.permutations(range(start, stop)))
        rows = torch.tensor(order, dtype=torch.int64)
        feats = features_of(voxels)
        shuffled = Voxels(voxels.coords[rows], voxels.offsets)
        bottom, top = small_unet(self.tensor(voxels, feats, engine))
        bottom_again, top_again = small_unet(self.tensor(shuffled, feats[rows], engine))
        assert torch.equal(bottom_again.coords, bottom.coords)
        self.assert_same(bottom_again.feats, bottom.feats)
        self.assert_same(top_again.feats, top.feats[rows.to(self.device)])

    @for_every_engine
    @given(voxels=batches(), data=st.data())
    def test_moving_by_a_multiple_of_the_stride_changes_nothing(
        self, engine: Engine, voxels: Voxels, data: st.DataObject
    ) -> None:
        by = torch.tensor(data.draw(st.tuples(*[st.integers(-100, 100)] * voxels.dim)), dtype=torch.int32)
        feats = features_of(voxels)
        bottom, top = small_unet(self.tensor(voxels, feats, engine))
        moved = Voxels(voxels.coords + 4 * by, voxels.offsets)
        bottom_moved, top_moved = small_unet(self.tensor(moved, feats, engine))
        assert torch.equal(bottom_moved.coords, bottom.coords + by.to(self.device))
        self.assert_same(bottom_moved.feats, bottom.feats)
        self.assert_same(top_moved.feats, top.feats)

    @for_every_engine
    @given(voxels=batches(min_events=1))
    def test_a_batch_equals_its_events_one_by_one(self, engine: Engine, voxels: Voxels) -> None:
        feats = features_of(voxels)
        together = small_unet(self.tensor(voxels, feats, engine))
        for event, (start, stop) in enumerate(itertools.pairwise(voxels.offsets.tolist())):
            alone = from_events([voxels.events[event]], voxels.dim)
            for one, all_ in zip(small_unet(self.tensor(alone, feats[start:stop], engine)), together, strict=True):
                rows = slice(*all_.offsets[event : event + 2].tolist())
                assert torch.equal(one.coords, all_.coords[rows])
                self.assert_same(one.feats, all_.feats[rows])

    @pytest.mark.parametrize("dim", [2, 3])
    @pytest.mark.parametrize("name", edge_cases(2))
    def test_a_network_runs_forward_and_backward_on_edge_cases(self, engine: Engine, name: str, dim: int) -> None:
        voxels = edge_cases(dim)[name]
        x = self.tensor(voxels, features_of(voxels), engine)
        x.feats.requires_grad_()
        bottom, top = small_unet(x)
        assert top.feats.shape == (len(voxels), 7)
        assert bottom.level.num_events == len(voxels.events)
        torch.autograd.backward(top.feats.sum())
        assert x.feats.grad is not None
        assert x.feats.grad.shape == x.feats.shape
        assert bool(x.feats.grad.isfinite().all())

    def test_the_same_call_twice_gives_the_same_bits(self, engine: Engine) -> None:
        voxels = sample(3)
        results = [small_unet(self.tensor(voxels, features_of(voxels), engine))[1].feats for _ in range(2)]
        assert torch.equal(*results)

    def test_the_number_of_threads_does_not_change_a_bit(self, engine: Engine) -> None:
        box = list(itertools.product(range(20), repeat=3))
        chosen = torch.randperm(len(box), generator=torch.Generator().manual_seed(3))[:4000].tolist()
        voxels = from_events([[box[n] for n in chosen], box[:2000]], 3)
        results = []
        for number in (1, 2):
            with threads(number):
                results.append(small_unet(self.tensor(voxels, features_of(voxels, 33), engine)))
        for one, two in zip(*results, strict=True):
            assert torch.equal(one.coords, two.coords)
            assert torch.equal(one.feats, two.feats)
