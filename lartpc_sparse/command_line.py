"""What the commands of the package share: exit statuses, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lartpc_sparse.schema import UserError

__all__ = ["exit_status"]


def exit_status(command: Callable[[], None], *, interrupted: str = "interrupted") -> int:
    """Runs a command to its end; an error of the user's, or Ctrl-C, becomes a line on stderr.

    Args:
        command: the work.
        interrupted: what to say after Ctrl-C.

    Returns:
        0 done, 2 something to put right, 130 interrupted.
    """
    try:
        command()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{interrupted}\n")
        return 130
    return 0
