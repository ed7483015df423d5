"""What the commands of the package share: exit statuses, and errors as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lartpc_sparse.jobs import Stopped, output_error
from lartpc_sparse.schema import UserError

__all__ = ["exit_status"]


def exit_status(command: Callable[[], None], *, interrupted: str = "interrupted") -> int:
    """Runs a command to its end; an error of the user's, a signal or Ctrl-C becomes a line on stderr.

    Args:
        command: the work.
        interrupted: what to say after Ctrl-C, and after a signal where the command is `stopping_at_once`.

    Returns:
        0 done, else see `lartpc_sparse.jobs.EXIT_CODES`.
    """
    try:
        command()
    except UserError as error:
        return _say(error)
    except (OSError, RuntimeError) as error:
        found = output_error(error)
        if found is None:
            raise
        return _say(found)
    except Stopped as stopped:
        sys.stderr.write(f"{interrupted} ({stopped})\n")
        return stopped.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"{interrupted}\n")
        return 130
    return 0


def _say(error: UserError) -> int:
    sys.stderr.write(f"error: {error}\n")
    return error.exit_code
