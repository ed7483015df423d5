"""One case, all contestants, interleaved: what drifts hits everyone alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agreement import Agreement, compare_files
from benchmarks.cases import CASES, build_batch, save_batch
from benchmarks.client import Client, WorkerFailed
from benchmarks.contestant import Unavailable
from benchmarks.network import LevelCounts, count_levels, forward_features, forward_flop
from benchmarks.registry import REGISTRY

__all__ = ["MODES", "CaseResult", "ContestantResult", "Settings", "measure_case"]

REFERENCE = "torch"
MODES = ("inference", "training")


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        repeats: timed passes of each contestant.
        threads: of each contestant.
        device: cpu or cuda.
        folder: where batches and outputs are kept meanwhile.
        say: takes a line of progress.
    """

    repeats: int
    threads: int
    device: str
    folder: Path
    say: Callable[[str], None] = print


@dataclass
class ContestantResult:
    """What one contestant did on one case; seconds of every repeat, peak memory of a fresh process in MB."""

    settings: Mapping[str, str]
    environment: Mapping[str, str]
    agreement: Agreement | None = None
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class CaseResult:
    """Everything about one case; `left_out` says by contestant (and mode) why it is missing."""

    name: str
    text: str
    counts: LevelCounts
    gflop: float
    features: int
    contestants: dict[str, ContestantResult] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure_case(name: str, contestants: Sequence[str], settings: Settings) -> CaseResult:
    """Check that the contestants agree, then time them turn by turn, then take each one's memory."""
    case = CASES[name]
    batch = build_batch(case)
    path = settings.folder / f"{name}.npz"
    save_batch(batch, path)
    counts = count_levels(batch)
    result = CaseResult(name, case.text, counts, forward_flop(counts) / 1e9, forward_features(counts))
    neighbours = " ".join(f"{value:.1f}" for value in counts.neighbours)
    settings.say(
        f"{name}: {case.text}; {len(batch):,} voxels, {neighbours} neighbours per voxel by level, "
        f"{result.gflop:.2f} GFLOP forward"
    )
    with ExitStack() as stack:
        running: dict[str, Client] = {}
        for contestant in contestants:
            client = stack.enter_context(Client(contestant, device=settings.device, threads=settings.threads))
            try:
                about = client.ask("load", path=str(path))["settings"]
            except (Unavailable, WorkerFailed) as reason:
                result.left_out[contestant] = str(reason)
                client.close()
                continue
            running[contestant] = client
            result.contestants[contestant] = ContestantResult(about, client.environment)
        _check(running, result, settings, path)
        for mode in MODES:
            _time(mode, running, result, settings)
        ours = {name: client for name, client in running.items() if REGISTRY[name].engine}
        _time("plan", ours, result, settings)
    for contestant, found in result.contestants.items():
        for mode in MODES:
            if mode in found.seconds:
                try:
                    found.memory[mode] = _fresh_memory(contestant, mode, path, settings)
                except (Unavailable, WorkerFailed) as reason:
                    result.left_out[f"memory of {contestant} {mode}"] = str(reason)
    return result


def _check(running: dict[str, Client], result: CaseResult, settings: Settings, path: Path) -> None:
    """Compare everyone with the torch engine in fp32; who differs is left out."""
    reference = settings.folder / f"{result.name}-reference.npz"
    with ExitStack() as stack:
        expected = running.get(REFERENCE)
        if expected is None:
            expected = stack.enter_context(Client(REFERENCE, device=settings.device, threads=settings.threads))
            expected.ask("load", path=str(path))
        expected.ask("check", path=str(reference), gradients=True)
    for name, client in list(running.items()):
        settings.say(f"  checking {name}")
        mine = settings.folder / f"{result.name}-{name}.npz"
        try:
            try:
                client.ask("check", path=str(mine), gradients=True)
            except Unavailable:  # it does not train
                client.ask("check", path=str(mine), gradients=False)
            agreement = compare_files(mine, reference)
        except WorkerFailed as reason:
            _drop(name, str(reason), running, result)
            continue
        finally:
            mine.unlink(missing_ok=True)
        result.contestants[name].agreement = agreement
        why = f"does not compute the same as {REFERENCE}: {agreement}"
        if not agreement.output_is_good(REGISTRY[name].precision):
            _drop(name, why, running, result)
        elif not agreement.gradients_are_good(REGISTRY[name].precision):
            result.left_out[f"{name} training"] = why
    reference.unlink()


def _drop(name: str, why: str, running: dict[str, Client], result: CaseResult) -> None:
    running.pop(name).close()
    result.left_out[name] = why


def _time(mode: str, running: Mapping[str, Client], result: CaseResult, settings: Settings) -> None:
    """One untimed round, then `settings.repeats` timed ones; each round begins with another contestant."""
    names = list(running)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(settings.repeats + 1):
        settings.say(f"  {mode}, round {turn} of {settings.repeats}")
        for name in names[turn % max(len(names), 1) :] + names[: turn % max(len(names), 1)]:
            most = REGISTRY[name].most_repeats
            if f"{name} {mode}" in result.left_out or (most is not None and turn > most):
                continue
            try:
                found = running[name].ask("run", what=mode)["seconds"]
            except (Unavailable, WorkerFailed) as reason:
                result.left_out[f"{name} {mode}"] = str(reason)
                continue
            if turn:
                seconds[name].append(found)
    for name in names:
        if seconds[name] and f"{name} {mode}" not in result.left_out:
            result.contestants[name].seconds[mode] = seconds[name]


def _fresh_memory(name: str, mode: str, path: Path, settings: Settings) -> dict[str, float]:
    """Peak memory of a process of its own, after two passes."""
    settings.say(f"  memory of {name}, {mode}")
    with Client(name, device=settings.device, threads=settings.threads) as client:
        client.ask("load", path=str(path))
        for _ in range(2):
            client.ask("run", what=mode)
        memory: dict[str, float] = client.ask("memory")
        return memory
