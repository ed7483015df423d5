import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lartpc_sparse.report.event_choice import choose_events


def any_event(_):
    return True


def test_a_quarter_worst_a_quarter_best_and_the_rest_spread():
    scores = np.linspace(0, 1, 101)[np.random.default_rng(0).permutation(101)]
    chosen = choose_events(scores, 12, any_event)
    by_reason = {reason: [c.score for c in chosen if c.reason == reason] for reason in ("worst", "best", "typical")}
    assert by_reason["worst"] == pytest.approx([0, 0.01, 0.02])
    assert by_reason["best"] == pytest.approx([1, 0.99, 0.98])
    assert len(by_reason["typical"]) == 6
    assert np.diff(by_reason["typical"]) == pytest.approx(np.full(5, 1 / 7), abs=0.03)
    assert [c.reason for c in chosen] == ["typical"] * 6 + ["best"] * 3 + ["worst"] * 3


def test_unusable_events_are_passed_over():
    chosen = choose_events(np.arange(20.0), 4, lambda index: index not in (0, 19))
    assert {c.index for c in chosen if c.reason == "worst"} == {1}
    assert {c.index for c in chosen if c.reason == "best"} == {18}


def test_without_scores_the_events_are_spread_over_the_file():
    chosen = choose_events(np.full(100, np.nan), 4, any_event)
    assert {c.reason for c in chosen} == {"evenly spaced"}
    assert all(c.score is None for c in chosen)
    assert [c.index for c in chosen] == pytest.approx([20, 40, 59, 79], abs=1)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=40),
    st.integers(0, 20),
    st.sets(st.integers(0, 39)),
)
@settings(max_examples=80, deadline=None)
def test_as_many_as_there_are_none_twice(scores, number, unusable):
    chosen = choose_events(np.array(scores, dtype=np.float64), number, lambda index: index not in unusable)
    indices = [c.index for c in chosen]
    assert len(set(indices)) == len(indices) == min(number, len(set(range(len(scores))) - unusable))
    assert not set(indices) & unusable
