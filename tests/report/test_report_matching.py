from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lartpc_sparse.report.matching import matched_numbers

labels = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=0, max_size=25)


def best_agreement(truth, prediction):
    """The largest number of common voxels of any one-to-one assignment, by trying all."""
    true_ids, predicted_ids = sorted({t for t in truth if t >= 0}), sorted({p for p in prediction if p >= 0})
    padded = predicted_ids + [None] * len(true_ids)
    return max(
        sum(
            t >= 0 and p is not None and p >= 0 and dict(zip(true_ids, order, strict=False)).get(t) == p
            for t, p in zip(truth, prediction, strict=True)
        )
        for order in permutations(padded, len(true_ids))
    )


@given(labels)
@settings(max_examples=40, deadline=None)
def test_the_pairing_is_the_best_of_all(rows):
    truth = np.array([t for t, _ in rows], dtype=np.int64)
    prediction = np.array([p for _, p in rows], dtype=np.int64)
    a, b = matched_numbers(truth, prediction)
    assert int(((a == b) & (a >= 0)).sum()) == best_agreement(truth.tolist(), prediction.tolist())


@given(labels)
@settings(max_examples=60, deadline=None)
def test_numbers_keep_the_groups(rows):
    truth = np.array([t for t, _ in rows], dtype=np.int64)
    prediction = np.array([p for _, p in rows], dtype=np.int64)
    for before, after in zip((truth, prediction), matched_numbers(truth, prediction), strict=True):
        assert ((before < 0) == (after < 0)).all()
        pairs = set(zip(before.tolist(), after.tolist(), strict=True))
        if (before >= 0).any():
            known = {pair for pair in pairs if pair[0] >= 0}
            assert len({b for b, _ in known}) == len({a for _, a in known}) == len(known)


def test_the_largest_instance_comes_first_and_strangers_last():
    truth = np.array([7, 7, 7, 3, 3, -1])
    prediction = np.array([1, 1, 1, 1, 5, 9])
    a, b = matched_numbers(truth, prediction)
    assert a.tolist() == [0, 0, 0, 1, 1, -1]
    assert b.tolist() == [0, 0, 0, 0, 1, 2]


def test_what_has_no_common_voxel_is_no_pair():
    a, b = matched_numbers(np.array([5, 5, -1]), np.array([-1, -1, 8]))
    assert a.tolist() == [0, 0, -1]
    assert b.tolist() == [-1, -1, 1]
