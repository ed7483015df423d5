"""The tables that a run prints."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.limits import Limits
from benchmarks.measure import MODES, CaseResult, ContestantResult
from benchmarks.registry import REGISTRY
from benchmarks.spread import Spread

__all__ = ["case_tables", "left_out_lines"]

_PREFERRED = ("cpu", "triton", "torch")
"""Our engine that the others are compared with: the first of these that took part."""


def case_tables(case: CaseResult, limits: Limits | None) -> Iterator[Table]:
    """A table for inference and one for training, a row a contestant.

    `x limit` is time / time of the multiplications at the measured peak (on a CPU: the fp32 peak, for every precision);
    the column after next compares with our first engine.
    """
    reference = next((name for name in _PREFERRED if name in case.contestants), None)
    own = case.contestants[reference] if reference else None
    for mode in MODES:
        limit = (
            "" if limits is None else f", limit {limits.flop_seconds(case.gflop, mode, 'fp32') * 1e3:.1f} ms in fp32"
        )
        table = Table(title=f"{case.name}, {mode}{limit}", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        table.add_column("")
        for heading in ("ms", "quartiles", "x limit", "of peak", f"x {reference}", "peak MB", "plan ms (share)"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, found in case.contestants.items():
            if mode in found.seconds:
                table.add_row(name, *_cells(case, name, mode, own, limits), _plan_cell(found, mode))
        if table.row_count:
            yield table


def _cells(
    case: CaseResult, name: str, mode: str, own: ContestantResult | None, limits: Limits | None
) -> Iterator[str]:
    found = case.contestants[name]
    spread = Spread.of(found.seconds[mode])
    yield f"{spread.median * 1e3:.1f}"
    yield f"{spread.low * 1e3:.1f}-{spread.high * 1e3:.1f}"
    if limits is None:
        yield from ("-", "-")
    else:
        ratio = spread.median / limits.flop_seconds(case.gflop, mode, REGISTRY[name].precision)
        moving = limits.traffic_seconds(case.features, mode, REGISTRY[name].precision)
        yield f"{ratio:.2f}" + (f" ({spread.median / moving:.1f} x traffic)" if moving else "")
        yield f"{100 / ratio:.0f} %"
    yield f"{spread.median / Spread.of(own.seconds[mode]).median:.2f}" if own and mode in own.seconds else "-"
    memory = found.memory.get(mode, {})
    yield f"{memory.get('peak_gpu_mb', memory['peak_mb']):.0f}" if memory else "-"


def _plan_cell(found: ContestantResult, mode: str) -> str:
    if "plan" not in found.seconds:
        return "-"
    plan = Spread.of(found.seconds["plan"]).median
    return f"{plan * 1e3:.1f} ({100 * plan / Spread.of(found.seconds[mode]).median:.0f} %)"


def left_out_lines(cases: list[CaseResult]) -> Iterator[str]:
    """A line for every contestant that is missing somewhere, and why; the same reason is said once."""
    said: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for who, why in case.left_out.items():
            said.setdefault((who, why), []).append(case.name)
    for (who, why), names in said.items():
        yield f"{who} is missing ({', '.join(names)}): {why}"
