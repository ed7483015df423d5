"""Speed and memory of a step: of one rank, and of all ranks of the job together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["StepFigures"]


@dataclass(frozen=True)
class StepFigures:
    """What a step has done, and what that took.

    Attributes:
        work: units done, such as voxels; None: nothing was counted.
        seconds: that the work took.
        unit: what was counted, "voxels".
        peak_memory: bytes, by `host` and `gpu`.
        ranks: whose figures these are.
    """

    work: float | None = None
    seconds: float = 0.0
    unit: str = ""
    peak_memory: Mapping[str, int] = field(default_factory=dict)
    ranks: int = 1

    @classmethod
    def of_progress(cls, progress: Mapping[str, Any], peak_memory: Mapping[str, int]) -> StepFigures:
        """From the last event `progress` of a piece of work, empty where there was none; see `Progress`."""
        unit = str(progress.get("rate_unit", "")).removesuffix("/s")
        return cls(progress.get(unit), progress.get("seconds", 0.0), unit, peak_memory)

    @classmethod
    def together(cls, ranks: Sequence[StepFigures]) -> StepFigures:
        """Of all ranks: their work summed, in the time of the slowest; memory of the one that held most."""
        counted = [rank for rank in ranks if rank.work is not None]
        return cls(
            sum(rank.work for rank in counted if rank.work is not None) if counted else None,
            max((rank.seconds for rank in counted), default=0.0),
            next((rank.unit for rank in counted), ""),
            {
                name: max(rank.peak_memory.get(name, 0) for rank in ranks)
                for name in dict.fromkeys(name for rank in ranks for name in rank.peak_memory)
            },
            len(ranks),
        )

    @property
    def rate(self) -> float | None:
        """Units a second."""
        return self.work / self.seconds if self.work is not None and self.seconds > 0 else None

    @property
    def record(self) -> dict[str, Any]:
        """For the event log."""
        unit = f"{self.unit}/s" if self.unit else None
        return {"rate": self.rate, "rate_unit": unit, "peak_memory": dict(self.peak_memory)}

    def __str__(self) -> str:
        speed = "" if self.rate is None else f"{self.rate:,.0f} {self.unit}/s, "
        memory = ", ".join(f"{name} {size / 2**20:,.0f} MiB" for name, size in self.peak_memory.items() if size)
        return f"{speed}peak memory {memory}{f' (highest of {self.ranks} ranks)' if self.ranks > 1 else ''}"
