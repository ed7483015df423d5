"""Class schemes and the matching of labels by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data.classes import (
    FIVE,
    LARCV_SHAPES,
    PILARNET,
    SIX,
    class_table,
    match_classes,
    pid_of_pdg,
    split_names,
    split_track_class,
    split_tracks,
)
from lartpc_sparse.schema import UserError


def test_schemes_are_the_published_ones() -> None:
    assert FIVE == ("HIP", "MIP", "shower", "delta", "Michel")
    assert (*FIVE, "low_energy") == SIX
    assert PILARNET == ("shower", "track", "Michel", "delta", "low_energy")


def _split_one(semantic: int, pid: int) -> int:
    if semantic == -1:
        return -1
    name = PILARNET[semantic]
    if name == "track":
        name = {2: "MIP", 3: "MIP", 4: "HIP"}.get(pid, "")
    return SIX.index(name) if name else -1


def test_split_tracks_for_every_code_and_pid() -> None:
    semantic, pid = (grid.ravel() for grid in np.meshgrid(np.arange(-1, 5), np.arange(-1, 7), indexing="ij"))
    labels, names = split_tracks(semantic, pid)
    assert names == SIX
    assert labels.dtype == np.int64
    assert labels.tolist() == [_split_one(s, p) for s, p in zip(semantic.tolist(), pid.tolist(), strict=True)]


def test_split_tracks_of_nothing_is_nothing() -> None:
    labels, _ = split_tracks(np.zeros(0, np.int32), np.zeros(0, np.int8))
    assert labels.shape == (0,)


@pytest.mark.parametrize("code", [-2, 5])
def test_split_tracks_refuses_unknown_codes(code: int) -> None:
    with pytest.raises(ValueError, match=rf"{code}.*expected -1\.\.4"):
        split_tracks(np.array([0, code]), np.array([0, 0]))


@given(st.lists(st.integers(-1, 5), max_size=20), st.permutations(SIX), st.integers(1, 6))
def test_match_classes_keeps_the_names(labels: list[int], order: list[str], count: int) -> None:
    wanted = tuple(order[:count])
    matched = match_classes(np.array(labels, dtype=np.int64), SIX, wanted)
    assert matched.dtype == np.int64
    for old, new in zip(labels, matched.tolist(), strict=True):
        name = SIX[old] if old >= 0 else None
        assert new == (wanted.index(name) if name in wanted else -1)


def test_match_classes_merges() -> None:
    merge = {"track": ("HIP", "MIP"), "em": ("shower", "delta", "Michel")}
    matched = match_classes(np.array([0, 1, 2, 3, 4, 5, -1]), SIX, ("em", "track"), merge)
    assert matched.tolist() == [1, 1, 0, 0, 0, -1, -1]


def test_match_classes_to_the_same_names_changes_nothing() -> None:
    labels = np.arange(-1, 6)
    np.testing.assert_array_equal(match_classes(labels, SIX, SIX), labels)


def test_a_wanted_name_the_data_lack_lists_the_names() -> None:
    with pytest.raises(UserError, match=r"'HIP'.*shower, track, Michel, delta, low_energy"):
        match_classes(np.array([0]), PILARNET, ("HIP", "shower"))


def test_a_merged_name_the_data_lack_lists_the_names() -> None:
    with pytest.raises(UserError, match=r"'kaon'.*HIP, MIP"):
        match_classes(np.array([0]), FIVE, ("track",), {"track": ("HIP", "kaon")})


def test_a_merge_nobody_wants_is_refused() -> None:
    with pytest.raises(UserError, match=r"'track'.*shower, delta"):
        class_table(FIVE, ("shower", "delta"), {"track": ("HIP", "MIP")})


@pytest.mark.parametrize(
    ("wanted", "merge"), [(("HIP", "track"), {"track": ("HIP", "MIP")}), (("HIP", "HIP"), {})], ids=["merge", "plain"]
)
def test_a_class_asked_for_twice_is_refused(wanted: tuple[str, ...], merge: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UserError, match="'HIP' is asked for twice"):
        class_table(FIVE, wanted, merge)


@pytest.mark.parametrize("label", [-2, 5])
def test_labels_outside_the_scheme_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match=r"expected -1\.\.4"):
        match_classes(np.array([label]), FIVE, FIVE)


def test_pid_of_pdg() -> None:
    pdg = np.array([22, 11, -11, 13, -13, 211, -211, 2212, -2212, 321, 111, 0, 1000180400])
    assert pid_of_pdg(pdg).tolist() == [0, 1, 1, 2, 2, 3, 3, 4, -1, -1, -1, -1, -1]


def test_splitting_any_scheme_with_tracks() -> None:
    assert split_names(LARCV_SHAPES) == (*SIX, "ghost", "unknown")
    assert split_names(PILARNET) == SIX
    semantic, pid = (grid.ravel() for grid in np.meshgrid(np.arange(-1, 5), np.arange(-1, 7), indexing="ij"))
    np.testing.assert_array_equal(split_track_class(semantic, PILARNET, pid), split_tracks(semantic, pid)[0])
    labels = split_track_class(np.array([0, 2, 1, 1, -1]), ("noise", "track", "shower"), np.array([4, 4, 4, 5, 4]))
    names = split_names(("noise", "track", "shower"))
    assert [names[label] if label >= 0 else None for label in labels] == ["noise", "shower", "HIP", None, None]
    with pytest.raises(ValueError, match="labels span"):
        split_track_class(np.array([3]), ("noise", "track", "shower"), np.array([4]))
