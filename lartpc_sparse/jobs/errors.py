"""Why a job ended: error classes with the exit codes that a batch system sees."""

from __future__ import annotations

import errno
import re

from lartpc_sparse.schema import UserError

__all__ = [
    "EXIT_CODES",
    "LockedError",
    "LossError",
    "OutputError",
    "RankError",
    "Stopped",
    "input_error",
    "output_error",
]

EXIT_CODES: dict[int, str] = {
    0: "the chain is done",
    1: "an error that nobody expected, with a traceback: please report it",
    2: "the configuration, an argument or an input file is wrong; the message says where",
    3: "another job is at work in this output directory",
    4: "the output cannot be written: disk full, quota, read-only, no permission",
    5: "the loss is not finite; the events of the batch are saved",
    6: "another rank of the job failed",
    75: "stopped by SIGTERM or SIGUSR1; the same command continues",
    130: "interrupted with Ctrl-C",
}


class LockedError(UserError):
    """Another job is at work in the output directory."""

    exit_code = 3


class OutputError(UserError):
    """The output cannot be written."""

    exit_code = 4


class LossError(UserError):
    """The loss of a training is not finite."""

    exit_code = 5


class RankError(UserError):
    """Another rank failed.

    Args:
        message: which one.
        exit_code: with what that rank ends, if it said so: srun reports the largest of all ranks.
        explained: it has said why itself; one that was killed has not.
    """

    exit_code = 6

    def __init__(self, message: str, exit_code: int = 6, *, explained: bool = True) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.explained = explained


class Stopped(BaseException):
    """The batch system wants its machine back: SIGTERM or SIGUSR1."""

    exit_code = 75


_CURES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file is larger than this process may write",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission to write",
    errno.EPERM: "there is no permission to write",
}


def output_error(error: BaseException) -> OutputError | None:
    """What to tell the user when an error, or one of its causes, is a failure to write; None for any other.

    HDF5 gives the number of the operating system in its text only.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (OSError, RuntimeError)):
            number = _errno_of(seen)
            if number in _CURES:
                where = f"{seen.filename}: " if isinstance(seen, OSError) and seen.filename else ""
                return OutputError(
                    f"{where}{_CURES[number]} ({seen}); what was complete is kept, make room or correct the path and "
                    "give the same command again"
                )
        seen = seen.__cause__ or seen.__context__
    return None


def input_error(path: object, error: BaseException) -> UserError | None:
    """What to tell the user when a file is missing or may not be read; None when its content is the matter."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: no such file")
    if isinstance(error, PermissionError):
        return UserError(
            f"{path}: no permission to read it; its owner can give it (chmod a+r, and a+x for the folders above it)"
        )
    return None


def _errno_of(error: OSError | RuntimeError) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    text = str(error)
    found = re.search(r"errno = (\d+)", text)
    if found:
        return int(found[1])
    return errno.ENOSPC if "No space left on device" in text else 0
