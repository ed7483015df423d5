"""Section `simulate` of a chain: which events to make, how many, and where they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lartpc_sparse.schema import Config
from lartpc_sparse.simulate.sources import SourceField

__all__ = ["SimulateConfig"]


class SimulateConfig(Config):
    """Makes events and writes them in parts, files of the project's own format.

    `simulate: {kind: geant4, events: 1000}` is short for `simulate: {events: 1000, source: {kind: geant4}}`: where
    `kind` stands in the section itself, all keys that are not of the section belong to the source.
    """

    source: SourceField = Field(description="what makes the events")
    events: int = Field(1000, ge=1, description="number of events")
    seed: int | None = Field(None, ge=0, description="of the events; null: run.seed")
    output: str = Field("events", min_length=1, description="folder in output_dir")
    events_per_file: int = Field(1000, ge=1, description="events in one part; a part that is not finished is lost")
    processes: int | Literal["auto"] = Field("auto", description="processes; auto: as many as the job has CPUs")
    on_bad_event: Literal["fail", "skip"] = Field(
        "fail", description="fail: an event that cannot be made stops the job; skip: it is counted and left empty"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, values: Any) -> Any:
        if not (isinstance(values, dict) and "kind" in values):
            return values
        own = {name: value for name, value in values.items() if name in cls.model_fields and name != "source"}
        return {**own, "source": {name: value for name, value in values.items() if name not in own}}

    @model_validator(mode="after")
    def _checked(self) -> SimulateConfig:
        if self.processes != "auto" and self.processes < 1:
            raise ValueError(f"processes is auto or at least 1, not {self.processes}")
        if Path(self.output).name != self.output:  # the folder may be put aside, so it must be one of its own
            raise ValueError(f"output is the name of a folder in run.output_dir, not {self.output!r}")
        return self
