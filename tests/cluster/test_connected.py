from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from lartpc_sparse.cluster import connected_components
from lartpc_sparse.sparse.native.graph import near_pairs
from lartpc_sparse.sparse.native.library import missing_reason


def first_seen(ids):
    """Rename ids to 0, 1, ... in order of appearance; -1 stays."""
    names: dict[int, int] = {}
    return [-1 if i < 0 else names.setdefault(i, len(names)) for i in np.asarray(ids).tolist()]


def label_image(coords, labels, side):
    """Oracle: scipy.ndimage.label on a dense image, label by label."""
    dim = coords.shape[1]
    result, offset = np.full(len(coords), -1), 0
    for label in np.unique(labels[labels >= 0]):
        rows = np.flatnonzero(labels == label)
        image = np.zeros((side,) * dim, dtype=bool)
        image[tuple(coords[rows].T)] = True
        found, count = ndimage.label(image, structure=np.ones((3,) * dim))
        result[rows] = found[tuple(coords[rows].T)] - 1 + offset
        offset += count
    return result


@st.composite
def voxels(draw, side=7):
    dim = draw(st.integers(2, 3))
    flat = draw(st.lists(st.integers(0, side**dim - 1), unique=True, max_size=60))
    coords = np.stack(np.unravel_index(np.array(flat, dtype=np.int64), (side,) * dim), axis=1).astype(np.int32)
    return coords, draw(hnp.arrays(np.int64, len(flat), elements=st.integers(-1, 2)))


@settings(max_examples=120, deadline=None)
@given(voxels())
def test_equals_ndimage_within_each_label(event):
    coords, labels = event
    found = connected_components(coords, labels)
    assert found.dtype == np.int64
    assert found.tolist() == first_seen(label_image(coords, labels, 7))


@settings(max_examples=60, deadline=None)
@given(voxels())
def test_equals_ndimage_without_labels(event):
    coords, _ = event
    expected = label_image(coords, np.zeros(len(coords), dtype=np.int64), 7)
    assert connected_components(coords).tolist() == first_seen(expected)


def test_corner_neighbours_touch_and_a_gap_separates():
    coords = np.array([[0, 0, 0], [1, 1, 1], [3, 1, 1]], np.int32)
    assert connected_components(coords).tolist() == [0, 0, 1]


def test_another_label_between_does_not_join():
    coords = np.array([[0, 0], [0, 1], [0, 2]], np.int32)
    assert connected_components(coords, np.array([5, 9, 5])).tolist() == [0, 1, 2]


def test_unlabelled_voxels_are_left_out():
    coords = np.array([[0, 0], [0, 1], [0, 2]], np.int32)
    assert connected_components(coords, np.array([1, -1, 1])).tolist() == [0, -1, 1]
    assert connected_components(coords, np.full(3, -1)).tolist() == [-1, -1, -1]


def test_empty_one_voxel_and_duplicates():
    assert connected_components(np.zeros((0, 3), np.int32)).shape == (0,)
    assert connected_components(np.array([[4, 4, 4]], np.int32)).tolist() == [0]
    assert connected_components(np.array([[4, 4], [4, 4]], np.int32)).tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(voxels())
def test_without_the_compiled_code(event):
    coords, labels = event
    with pytest.MonkeyPatch.context() as patch:
        for module in ("connected", "voxel_graph"):
            patch.setattr(f"lartpc_sparse.cluster.{module}.missing_reason", lambda: "not built")
        assert connected_components(coords, labels).tolist() == first_seen(label_image(coords, labels, 7))


def test_coordinates_beyond_32_bits():
    far = 2**40
    coords = np.array([[far, 0, 0], [far + 1, 1, -1], [0, 0, 0], [far + 2, 2, 0]])
    assert connected_components(coords).tolist() == [0, 0, 1, 0]
    assert connected_components(coords, np.array([4, 4, 4, -1])).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize("dim", [5, 9])
def test_more_axes_than_the_compiled_code_has(dim):
    coords = np.zeros((4, dim), dtype=np.int32)
    coords[1], coords[2], coords[3, -1] = 1, 3, -1
    if missing_reason() is None:
        assert near_pairs(coords, np.zeros(4, dtype=np.int64), 1) is None
    assert connected_components(coords).tolist() == [0, 0, 1, 0]


@pytest.mark.usefixtures("without_type_checks")
def test_refuses_bad_input():
    with pytest.raises(ValueError, match="integers"):
        connected_components(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="integers"):
        connected_components(np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="labels have shape"):
        connected_components(np.zeros((3, 3), np.int32), np.zeros(2, np.int64))
