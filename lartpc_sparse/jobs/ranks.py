"""The processes of one job, as torchrun or srun started them.

One rank, the first, keeps the records and does what a single process must do; the others wait for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lartpc_sparse.jobs.errors import RankError, output_error
from lartpc_sparse.schema import UserError

__all__ = ["Ranks", "find_ranks", "first_host", "joined", "launched", "lost_ranks_named"]

T = TypeVar("T")

_STEP_TIMEOUT = timedelta(minutes=30)
"""Longest time that the ranks of a training may differ in one step; a rank that dies is noticed at once."""
_LOST = ("gloo/transport", "Connection closed by peer", "Connection reset by peer")
"""What gloo says when a rank is gone; it has no error class of its own. NCCL has."""
_WAIT = timedelta(days=14)
"""Longest time that ranks wait for the first one, which simulates or evaluates."""


@dataclass(frozen=True)
class Ranks:
    """Place of this process among those of the job.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        local_rank, local_size: the same on this node.
        launcher: torchrun, srun, or none for a single process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launcher: str = "none"

    @property
    def first(self) -> bool:
        """Whether this is the rank that keeps the records."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.size > 1

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.size // self.local_size

    def on_first(self, action: Callable[[], T]) -> T:
        """The result of an action that the first rank alone does; the others wait, and get it, too.

        Raises:
            RankError: on the other ranks, when the action failed on the first, which raises what it is.
        """
        if not self.several:
            return action()
        if not self.first:
            done, value = self._from_first(None)
            if not done:
                reason, status = value
                raise RankError(f"rank 0 failed: {reason}", status)
            return value  # type: ignore[no-any-return]
        try:
            result = action()
        except BaseException as error:
            said = output_error(error) or error if isinstance(error, Exception) else error
            status = getattr(said, "exit_code", RankError.exit_code)
            self._from_first((False, (str(error) or type(error).__name__, status)))
            raise
        self._from_first((True, result))
        return result

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.several:
            with _lost_ranks():
                dist.barrier(group=_waiting_group())

    def any(self, value: bool) -> bool:
        """Whether the value is true on any rank."""
        if not self.several:
            return value
        flag = torch.tensor([int(value)])
        with _lost_ranks():
            dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=_waiting_group())
        return bool(flag.item())

    def of_all(self, value: T) -> list[T]:
        """The values of all ranks, in their order; on every rank."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.size
        with _lost_ranks():
            dist.all_gather_object(values, value, group=_waiting_group())
        return values

    def _from_first(self, value: Any) -> Any:
        box = [value]
        with _lost_ranks():
            dist.broadcast_object_list(box, src=0, group=_waiting_group(), device=torch.device("cpu"))
        return box[0]


def find_ranks(environment: MutableMapping[str, str] = os.environ) -> Ranks:
    """The ranks that the launcher announces; for srun, the variables that torch reads are added.

    A batch script that calls Python without srun is one process, however many tasks the job has.

    Raises:
        UserError: variables that contradict each other.
    """
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "TORCHELASTIC_RUN_ID" not in environment:
        ranks = _of_slurm(environment)
    elif {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= set(environment):
        rank, size, local_rank, local_size = (
            int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        )
        ranks = Ranks(rank, size, local_rank, local_size, "torchrun")
    else:
        return Ranks()
    if ranks.size % ranks.local_size or not 0 <= ranks.rank < ranks.size:
        raise UserError(
            f"the launcher {ranks.launcher} announces rank {ranks.rank} of {ranks.size} with {ranks.local_size} on "
            "this node; start the same number of processes on every node"
        )
    return ranks


def _of_slurm(environment: MutableMapping[str, str]) -> Ranks:
    size = int(environment["SLURM_STEP_NUM_TASKS"])
    each = {int(number) for number in re.findall(r"(\d+)(?:\(x\d+\))?", environment["SLURM_STEP_TASKS_PER_NODE"])}
    if len(each) > 1:
        raise UserError(
            f"srun starts {environment['SLURM_STEP_TASKS_PER_NODE']} tasks on its nodes; use --ntasks-per-node, the "
            "same number on every node"
        )
    ranks = Ranks(
        int(environment["SLURM_PROCID"]), size, int(environment["SLURM_LOCALID"]), each.pop(), launcher="srun"
    )
    # Away from the ports of others: from the number of the job and of its step.
    port = 20000 + (int(environment.get("SLURM_JOB_ID", "0")) * 7 + int(environment.get("SLURM_STEP_ID", "0"))) % 10000
    environment.setdefault("MASTER_ADDR", first_host(environment["SLURM_STEP_NODELIST"]))
    environment.setdefault("MASTER_PORT", str(port))
    for name, value in (
        ("RANK", ranks.rank),
        ("WORLD_SIZE", size),
        ("LOCAL_RANK", ranks.local_rank),
        ("LOCAL_WORLD_SIZE", ranks.local_size),
    ):
        environment[name] = str(value)
    return ranks


def first_host(nodes: str) -> str:
    """The first name of a SLURM list of nodes, as `gpu[003-007,9],login1`."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    if found is None:
        raise UserError(f"the list of nodes {nodes!r} cannot be read")
    return "".join(part or "" for part in found.groups())


@contextmanager
def joined(device: str = "auto", environment: MutableMapping[str, str] = os.environ) -> Iterator[Ranks]:
    """The ranks, connected for the length of the block; inside another such block, the same ones.

    Tensors of a CPU travel through gloo, those of a GPU through NCCL; a rank takes the GPU of its place on its node.

    Args:
        device: `run.device` of the chain; with `cpu` the GPUs are left alone.
        environment: what the launcher has set.

    Raises:
        UserError: fewer GPUs than ranks on a node.
    """
    ranks = find_ranks(environment)
    if not ranks.several or dist.is_initialized():
        yield ranks
        return
    backend = "gloo"
    if device != "cpu" and torch.cuda.is_available():
        if torch.cuda.device_count() < ranks.local_size:
            raise UserError(
                f"{ranks.local_size} ranks on this node, but each sees {torch.cuda.device_count()} GPUs; start one "
                "rank a GPU, and let every rank see all GPUs of its node (srun: --gres=gpu:N, without --gpus-per-task)"
            )
        torch.cuda.set_device(ranks.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, rank=ranks.rank, world_size=ranks.size, timeout=_STEP_TIMEOUT)
    try:
        _groups[0] = dist.new_group(backend="gloo", timeout=_WAIT)
        yield ranks
    finally:
        _groups.pop(0, None)
        dist.destroy_process_group()


_groups: dict[int, Any] = {}  # torch keeps its process groups in the same way, one set a process


def _waiting_group() -> Any:
    return _groups.get(0)


@contextmanager
def _lost_ranks() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


@contextmanager
def lost_ranks_named() -> Iterator[None]:
    """For work in which torch itself speaks with the other ranks, as it does in a backward pass.

    Raises:
        RankError: the block failed because the connection to another rank is lost.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, dist.DistError) and not any(words in text for words in _LOST):
            raise
        raise _lost(error) from error


def _lost(error: RuntimeError) -> RankError:
    """Which rank it is only the launcher knows."""
    reason = " ".join(str(error).split())
    return RankError(
        f"rank {dist.get_rank()} has lost the connection to another one, which has ended or whose node is gone; "
        f"the same command continues ({reason})",
        explained=False,
    )


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher started this process, rather than Lightning or a user."""
    return "TORCHELASTIC_RUN_ID" in environment or "LOCAL_WORLD_SIZE" in environment
