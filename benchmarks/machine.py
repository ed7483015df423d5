"""The machine the figures belong to: what it is, whether it is busy, how much memory a process has used."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["BUSY_CORES", "Load", "describe_machine", "measure_load", "peak_memory_mb", "processor_name"]

BUSY_CORES = 0.15
"""CPU use by others, in cores, from which a machine counts as busy."""

_PACKAGES = ("lartpc-sparse", "torch", "numpy", "spconv", "MinkowskiEngine", "triton")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Load:
    """CPU use by everyone but this process.

    Attributes:
        cores: in cores; time that other virtual machines took away is part of it.
        stolen: the part of `cores` that other virtual machines took.
        processes: (command, cores) of the busiest that can be seen, busiest first.
    """

    cores: float
    stolen: float
    processes: tuple[tuple[str, float], ...]

    @property
    def is_busy(self) -> bool:
        """Whether a measurement would suffer."""
        return self.cores > BUSY_CORES

    def __str__(self) -> str:
        named = ", ".join(f"{command} ({cores:.2f})" for command, cores in self.processes)
        stolen = f", of which {self.stolen:.2f} by other virtual machines" if self.stolen > 0.01 else ""
        return f"{self.cores:.2f} cores in use by others{stolen}: {named or 'no process that can be seen from here'}"


def measure_load(seconds: float = 1.0) -> Load:
    """CPU use by others over `seconds`, from Linux's /proc.

    Raises:
        OSError: there is no /proc/stat.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    own, begin = os.getpid(), time.perf_counter()
    before, before_each = _cpu_ticks(), _ticks_by_process()
    time.sleep(seconds)
    passed = (time.perf_counter() - begin) * ticks
    after, after_each = _cpu_ticks(), _ticks_by_process()
    used = {pid: count - before_each.get(pid, (0, ""))[0] for pid, (count, _) in after_each.items()}
    busiest = sorted((pid for pid in used if pid != own and used[pid] > 0), key=lambda pid: -used[pid])
    all_ticks = after[0] - before[0] - used.get(own, 0)
    return Load(
        cores=max(0.0, all_ticks / passed),
        stolen=(after[1] - before[1]) / passed,
        processes=tuple((after_each[pid][1], round(used[pid] / passed, 2)) for pid in busiest[:5]),
    )


def _cpu_ticks() -> tuple[int, int]:
    """Ticks in use since the start, those stolen included, and those stolen."""
    user, nice, system, _, _, irq, softirq, steal = map(int, (_PROC / "stat").read_text().splitlines()[0].split()[1:9])
    return user + nice + system + irq + softirq + steal, steal


def _ticks_by_process() -> dict[int, tuple[int, str]]:
    """Ticks and command of every process that can be seen."""
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                name, _, rest = (folder / "stat").read_text().rpartition(")")
            except OSError:  # it has ended
                continue
            fields = rest.split()
            found[int(folder.name)] = (int(fields[11]) + int(fields[12]), name.partition("(")[2])
    return found


def processor_name() -> str:
    """Model of the processor, as Linux or Python calls it."""
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    numbers = [line.partition(":")[2].strip() for line in lines if line.startswith("model\t")]
    # Virtual machines hide the name; the number still tells one generation from the next.
    return f"{names[0]} (model {numbers[0]})" if names and numbers else platform.processor() or platform.machine()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe_machine() -> dict[str, object]:
    """Processor, cores, system and versions, for the record."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {package: _installed(package) for package in _PACKAGES},
    }


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes).

    Not `getrusage`: what that gives after a fork and exec includes the parent's.

    Raises:
        OSError: there is no /proc/self/status.
    """
    for line in (_PROC / "self" / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no line VmHWM")
