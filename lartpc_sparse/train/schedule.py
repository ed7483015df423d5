"""Learning rate as a function of the optimiser step."""

from __future__ import annotations

import math

from lartpc_sparse.train.config import ScheduleConfig

__all__ = ["rate_factor"]


def rate_factor(step: int, total_steps: int, schedule: ScheduleConfig) -> float:
    """Share of the highest learning rate at a step, 0 .. 1; stateless, so that a resumed run continues it.

    Args:
        step: optimiser steps done so far.
        total_steps: optimiser steps of the whole training.
        schedule: shape of the curve.
    """
    if step < schedule.warmup_steps:
        return (step + 1) / (schedule.warmup_steps + 1)
    if schedule.kind == "constant":
        return 1.0
    span = max(total_steps - schedule.warmup_steps, 1)
    progress = min((step - schedule.warmup_steps) / span, 1.0)
    falling = 1.0 - progress if schedule.kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return schedule.final_fraction + (1.0 - schedule.final_fraction) * falling
