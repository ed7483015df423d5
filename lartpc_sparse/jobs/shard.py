"""One share of the parts of a step, for job arrays."""

from __future__ import annotations

from dataclasses import dataclass

from lartpc_sparse.schema import UserError

__all__ = ["Shard"]


@dataclass(frozen=True)
class Shard:
    """Share `number` (from 0) of `count`.

    Raises:
        UserError: the number is not below the count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UserError(f"--shard {self.number}/{self.count}: the first number must be 0..{self.count - 1}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `number/count`.

        Raises:
            UserError: it is written otherwise.
        """
        number, sign, count = text.partition("/")
        if not (sign and number.isdigit() and count.isdigit()):
            raise UserError(f"--shard {text}: write NUMBER/COUNT, 0/8 is the first of eight")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"
