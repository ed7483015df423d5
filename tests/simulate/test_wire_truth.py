"""Labels of pixels: priority, clusters, noise; against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_events import CLASSES, QUIET, source_of, voxel_event

from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.wire_planes.projection import Shares
from lartpc_sparse.simulate.wire_planes.truth import LabelConfig, class_ranks, clusters_of, leading_deposits

RANKS = class_ranks(LabelConfig(), CLASSES)


def by_hand(
    shares: list[tuple[int, int, float]], semantic: np.ndarray, instance: np.ndarray, min_fraction: float
) -> list[int]:
    """`leading_deposits` as plain loops."""
    leads = []
    for pixel in range(max((pixel for pixel, _, _ in shares), default=-1) + 1):
        here = [(deposit, charge) for p, deposit, charge in shares if p == pixel]
        of_class: dict[int, float] = {}
        for deposit, charge in here:
            rank = int(RANKS[semantic[deposit]])
            of_class[rank] = of_class.get(rank, 0.0) + charge
        enough = [rank for rank in of_class if of_class[rank] >= min_fraction * sum(of_class.values())]
        rank = min(enough) if enough else max(of_class, key=lambda r: of_class[r])
        mine = [(deposit, charge) for deposit, charge in here if RANKS[semantic[deposit]] == rank]
        of_instance: dict[int, float] = {}
        for deposit, charge in mine:
            of_instance[int(instance[deposit])] = of_instance.get(int(instance[deposit]), 0.0) + charge
        best = max(of_instance, key=lambda i: of_instance[i])
        per_deposit = {deposit: charge for deposit, charge in mine if instance[deposit] == best}
        leads.append(max(per_deposit, key=lambda d: per_deposit[d]))
    return leads


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_leading_deposits_equal_plain_loops(seed: int, min_fraction: float) -> None:
    rng = np.random.default_rng(seed)
    deposits, pixels = int(rng.integers(1, 30)), int(rng.integers(1, 20))
    semantic, instance = rng.integers(-1, 6, deposits), rng.integers(-1, 3, deposits)
    shares = [
        (pixel, int(deposit), float(rng.uniform(0.01, 1)))
        for pixel in range(pixels)
        for deposit in rng.choice(deposits, min(deposits, int(rng.integers(1, 9))), replace=False)
    ]
    event = voxel_event(np.arange(deposits)[:, None].repeat(3, axis=1), semantic=semantic, instance=instance)
    columns = [np.array(column) for column in zip(*shares, strict=True)]
    found = leading_deposits(Shares(*columns), clusters_of(event, RANKS), min_fraction)
    assert found.tolist() == by_hand(shares, semantic, instance, min_fraction)


def test_no_pixel_has_no_lead() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    event = voxel_event(np.zeros((0, 3)))
    assert leading_deposits(Shares(nothing, nothing, np.zeros(0)), clusters_of(event, RANKS), 0.1).tolist() == []


@pytest.mark.parametrize(
    ("first", "second"), [(a, b) for a in range(6) for b in range(6) if a < b], ids=lambda i: CLASSES[i]
)
def test_of_two_particles_in_one_pixel_the_first_class_wins(first: int, second: int) -> None:
    """HIP > MIP > shower > delta > Michel > low energy, even with the smaller charge."""
    event = voxel_event([[30, 30, 30], [30, 31, 30]], [1.0, 4.0], semantic=[first, second], instance=[7, 8])
    image = source_of(event, variation=QUIET).make(0, 0)["y"]  # the plane does not see the height
    brightest = image.energy.argmax()
    assert image.labels["semantic"][brightest] == first
    assert image.labels["instance"][brightest] == 7
    assert image.labels["row"][brightest] == 0


def test_a_small_part_of_the_charge_does_not_apply() -> None:
    event = voxel_event([[30, 30, 30], [30, 31, 30]], [1.0, 40.0], semantic=[0, 2], instance=[7, 8])
    same = {"variation": QUIET, "charge": {"model": "fixed"}}
    image = source_of(event, **same).make(0, 0)["y"]
    assert set(image.labels["instance"].tolist()) == {8}
    every = source_of(event, **same, labels={"min_fraction": 0.0}).make(0, 0)["y"]
    assert set(every.labels["instance"].tolist()) == {7}


def test_the_class_of_the_whole_counts_and_then_the_largest_cluster_of_it() -> None:
    """Two MIPs together outweigh nothing: a shower twice as bright still yields to them, and the larger MIP leads."""
    event = voxel_event(
        [[30, 30, 30], [30, 31, 30], [30, 32, 30], [30, 33, 30]],
        [2.0, 0.8, 0.8, 1.5],
        semantic=[2, 1, 1, 1],
        instance=[5, 6, 6, 7],
    )
    image = source_of(event, variation=QUIET, charge={"model": "fixed"}).make(0, 0)["y"]
    brightest = image.energy.argmax()
    assert image.labels["instance"][brightest] == 6  # 1.6 MeV in two voxels against 1.5 in one
    assert image.labels["semantic"][brightest] == CLASSES.index("MIP")


def test_unlabelled_deposits_come_last() -> None:
    event = voxel_event([[30, 30, 30], [30, 31, 30]], [4.0, 1.0], semantic=[-1, 5], instance=[2, -1])
    image = source_of(event, variation=QUIET).make(0, 0)["y"]
    assert image.labels["semantic"][image.energy.argmax()] == 5
    alone = source_of(voxel_event([[30, 30, 30]], 4.0, semantic=-1, instance=2), variation=QUIET).make(0, 0)["y"]
    assert set(alone.labels["semantic"].tolist()) == {-1}
    assert set(alone.labels["instance"].tolist()) == {2}


def test_all_columns_come_from_one_deposit_and_noise_has_none() -> None:
    event = voxel_event([[30, 30, 30], [40, 10, 10]], 5.0, semantic=[0, 1], instance=[3, 4])
    event = event.with_labels(
        group=np.array([13, 14]),
        dx_mm=np.array([1.5, 2.5], np.float32),
        seen=np.array([True, True]),
        flag=np.array([1, 2], np.uint8),
    )
    labels = source_of(event, variation={"noise": 2.0}).make(0, 0)["v"].labels
    noise = labels["row"] == -1
    assert 0 < noise.sum() < len(noise)
    row = labels["row"][~noise]
    for name in event.labels:
        np.testing.assert_array_equal(labels[name][~noise], event.labels[name][row])
    assert (labels["group"][noise] == -1).all()
    assert (labels["flag"][noise] == -1).all()
    assert np.isnan(labels["dx_mm"][noise]).all()
    assert not labels["seen"][noise].any()


def test_with_no_least_signal_only_empty_pixels_are_noise() -> None:
    event = voxel_event([[30, 30, 30]], 5.0)
    readout = {"threshold_piu": 3.0}
    image = source_of(event, labels={"min_piu": 0.0}, readout=readout, variation={"noise": 2.0}).make(0, 0)["u"]
    labelled = image.labels["semantic"] == 1
    assert 4 < labelled.sum() < 60  # all pixels within the reach of the charge
    assert (image.labels["row"][~labelled] == -1).all()
    assert (~labelled).sum() > 100


def test_the_priority_is_the_users() -> None:
    event = voxel_event([[30, 30, 30], [30, 31, 30]], [1.0, 4.0], semantic=[0, 2])
    reverse = {"priority": tuple(reversed(CLASSES))}
    image = source_of(event, variation=QUIET, labels=reverse).make(0, 0)["y"]
    assert image.labels["semantic"][image.energy.argmax()] == 2
    with pytest.raises(UserError, match=r"labels.priority lacks the classes \['Michel', 'low_energy'\]"):
        source_of(event, labels={"priority": CLASSES[:4]})
    with pytest.raises(ValueError, match="names a class twice"):
        LabelConfig(priority=("HIP", "HIP"))


def test_events_without_labels_can_be_projected() -> None:
    event = voxel_event([[30, 30, 30]], 5.0).replace(labels={}, classes=())
    assert len(source_of(event, variation=QUIET).make(0, 0)["u"]) > 0
