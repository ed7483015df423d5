"""What a batch job needs: ranks, locks, signals, an event log, a heartbeat and exit codes."""

from lartpc_sparse.jobs.errors import (
    EXIT_CODES,
    LockedError,
    LossError,
    OutputError,
    RankError,
    Stopped,
    input_error,
    output_error,
)
from lartpc_sparse.jobs.event_log import EventLog, note
from lartpc_sparse.jobs.figures import StepFigures
from lartpc_sparse.jobs.files import replace_durably, require_space, sync_folder
from lartpc_sparse.jobs.free_memory import free_memory_bytes, memory_limited
from lartpc_sparse.jobs.heartbeat import Heartbeat
from lartpc_sparse.jobs.job import running
from lartpc_sparse.jobs.lock import locked
from lartpc_sparse.jobs.ranks import Ranks, find_ranks, joined, launched, lost_ranks_named
from lartpc_sparse.jobs.resources import forget_peak_memory, memory_bytes, peak_memory_bytes
from lartpc_sparse.jobs.shard import Shard
from lartpc_sparse.jobs.stop import StopSignals, end_readers_with_the_job, leave_signals_to_the_job, stopping_at_once

__all__ = [
    "EXIT_CODES",
    "EventLog",
    "Heartbeat",
    "LockedError",
    "LossError",
    "OutputError",
    "RankError",
    "Ranks",
    "Shard",
    "StepFigures",
    "StopSignals",
    "Stopped",
    "end_readers_with_the_job",
    "find_ranks",
    "forget_peak_memory",
    "free_memory_bytes",
    "input_error",
    "joined",
    "launched",
    "leave_signals_to_the_job",
    "locked",
    "lost_ranks_named",
    "memory_bytes",
    "memory_limited",
    "note",
    "output_error",
    "peak_memory_bytes",
    "replace_durably",
    "require_space",
    "running",
    "stopping_at_once",
    "sync_folder",
]
