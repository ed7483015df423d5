"""What is wrong with a configuration, and where the user wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lartpc_sparse.schema import UserError

__all__ = ["ConfigError", "Place", "Problem", "suggestion"]


@dataclass(frozen=True)
class Place:
    """Where a key or a value was written.

    Attributes:
        source: name of the file as the user wrote it, or `--set a.b=c`.
        line: counted from 1; 0 when the source has no lines.
        column: counted from 1; 0 when the source has no lines.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One thing to put right.

    Attributes:
        place: where it was written.
        path: the key as the user writes it, `heads.semantic.classes`; empty for the file as a whole.
        text: what is wrong, and the cure.
    """

    place: Place
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.text}" if self.path else f"{self.place}: {self.text}"


class ConfigError(UserError):
    """A configuration that cannot be used; lists every problem found.

    Attributes:
        problems: in the order of the configuration's fields.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            lines = [f"the configuration has {len(lines)} errors", *(f"  {line}" for line in lines)]
        super().__init__("\n".join(lines))


def suggestion(word: str, names: Iterable[str]) -> str:
    """`did you mean 'x'? ` for the name closest to `word`, whatever the case; empty when none is close."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"did you mean '{by_lower[close[0]]}'? " if close else ""
