"""Learning rate against the step."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.train import ScheduleConfig
from lartpc_sparse.train.schedule import rate_factor


@given(
    kind=st.sampled_from(["constant", "cosine", "linear"]),
    warmup=st.integers(0, 20),
    total=st.integers(1, 200),
    final=st.floats(0, 1),
)
def test_the_rate_rises_in_the_warmup_then_never_again(kind: str, warmup: int, total: int, final: float) -> None:
    schedule = ScheduleConfig.model_validate({"kind": kind, "warmup_steps": warmup, "final_fraction": final})
    rates = [rate_factor(step, total, schedule) for step in range(total + 5)]
    assert all(0 <= rate <= 1 + 1e-12 for rate in rates)
    rising, rest = rates[:warmup], rates[warmup:]
    assert rising == sorted(rising)
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(rest))


def test_values_by_hand() -> None:
    cosine = ScheduleConfig(kind="cosine", warmup_steps=1, final_fraction=0.0)
    assert rate_factor(0, 5, cosine) == 0.5
    assert rate_factor(1, 5, cosine) == 1.0
    assert rate_factor(3, 5, cosine) == pytest.approx(0.5)
    assert rate_factor(5, 5, cosine) == pytest.approx(0.0)
    assert rate_factor(2, 5, cosine) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    linear = ScheduleConfig(kind="linear", final_fraction=0.2)
    assert rate_factor(5, 10, linear) == pytest.approx(0.6)
    assert rate_factor(10**6, 10, linear) == pytest.approx(0.2)
    assert rate_factor(7, 10, ScheduleConfig()) == 1.0
