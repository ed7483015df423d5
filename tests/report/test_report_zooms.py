import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.report.zooms import WINDOW, densest_window, zooms_of

PLANE = (3456, 1008)


def zooms(coords, energy):
    low, high = coords.min(axis=0), coords.max(axis=0)
    return zooms_of(coords, energy, PLANE, np.stack([low, high], axis=1).tolist())


def test_a_large_plane_can_be_seen_as_a_whole_and_where_it_is_dense():
    rng = np.random.default_rng(0)
    track = np.stack([np.arange(3000), np.arange(3000) // 4], axis=1)
    shower = rng.integers([2000, 700], [2060, 760], (2000, 2))
    coords = np.unique(np.concatenate([track, shower]), axis=0).astype(np.int32)
    found = {zoom.title: zoom.ranges for zoom in zooms(coords, np.ones(len(coords), dtype=np.float32))}
    assert list(found) == ["all charge", "densest charge", "whole image"]
    assert found["whole image"] == ((-0.5, 3455.5), (-0.5, 1007.5))
    (left, right), (bottom, top) = found["densest charge"]
    assert right - left == top - bottom == WINDOW
    assert left < 2000 < 2060 < right
    assert bottom < 700 < 760 < top


def test_small_events_and_three_axes_have_no_choice():
    small = np.array([[5, 5], [40, 60]], dtype=np.int32)
    assert [zoom.title for zoom in zooms(small, np.ones(2, dtype=np.float32))] == ["all charge", "whole image"]
    assert zooms_of(small, np.ones(2, dtype=np.float32), (), [[0, 1], [0, 1]]) == ()
    assert zooms_of(small, np.ones(2, dtype=np.float32), (41, 61), [[5, 40], [5, 60]]) != ()
    deep = np.array([[5, 5, 5]], dtype=np.int32)
    assert zooms_of(deep, np.ones(1, dtype=np.float32), (9, 9, 9), [[0, 1]] * 3) == ()


@given(st.integers(0, 2**32 - 1))
def test_no_aligned_window_holds_more(seed):
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 900, (int(rng.integers(1, 60)), 2)), axis=0).astype(np.int32)
    energy = rng.random(len(coords)).astype(np.float32)

    def held(corner):
        inside = ((coords >= corner) & (coords < np.asarray(corner) + WINDOW)).all(axis=1)
        return energy[inside].sum()

    low = coords.min(axis=0)
    best = held(densest_window(coords, energy))
    others = [held(low + 16 * rng.integers(0, 60, 2)) for _ in range(40)]
    assert best >= max(others) - 1e-4
