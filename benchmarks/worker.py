"""The process of one contestant: reads commands, one JSON object a line, and answers each with one line.

Started as `python -m benchmarks.worker NAME DEVICE THREADS`, with the contestant's own environment. Between commands
it waits in a read, so that it takes nothing from the one whose turn it is.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cases import load_batch
from benchmarks.contestant import Contestant, Unavailable
from benchmarks.machine import peak_memory_mb
from benchmarks.registry import build_contestant

__all__ = ["Worker"]


class Worker:
    """Carries out commands with one contestant."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self.device = name, device
        self.contestant: Contestant | None = None
        self.dim = 0

    @property
    def ready(self) -> Contestant:
        """The contestant with a batch."""
        if self.contestant is None:
            raise RuntimeError("load a batch first")
        return self.contestant

    def load(self, path: str) -> dict[str, Any]:
        """Take the batch in a file."""
        batch = load_batch(Path(path))
        if self.contestant is None or batch.coords.shape[1] != self.dim:
            self.dim = batch.coords.shape[1]
            self.contestant = build_contestant(self.name, self.dim, self.device)
        self.contestant.load(batch)
        return {"settings": self.contestant.settings()}

    def run(self, what: str) -> dict[str, Any]:
        """Seconds of one pass, `inference`, `training` or `plan`: the second of two.

        The first brings back into the caches what the others' turns have pushed out: a job works through one batch
        after another and never has their leavings before it.
        """
        contestant = self.ready
        action: Callable[[], object] = {
            "inference": contestant.inference,
            "training": contestant.training_step,
            "plan": contestant.build_plan,
        }[what]
        gc.collect()
        action()
        contestant.synchronise()
        begin = time.perf_counter()
        action()
        contestant.synchronise()
        return {"seconds": time.perf_counter() - begin}

    def check(self, path: str, gradients: bool) -> dict[str, Any]:
        """Write what must agree with everyone else's into a file."""
        out = self.ready.check_inference()
        arrays = {"out": out.float().cpu().numpy()}
        if gradients:
            probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
            named = self.ready.check_gradients(probe)
            arrays |= {f"grad {name}": grad.float().cpu().numpy() for name, grad in named.items()}
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return {}

    def memory(self) -> dict[str, Any]:
        """Peak memory of this process so far, and of the GPU where there is one, in MB."""
        found = {"peak_mb": peak_memory_mb()}
        if self.device == "cuda":
            found["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return found


def _answer(worker: Worker, command: dict[str, Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(worker, command.pop("do"))(**command)
    except Unavailable as reason:
        return {"unavailable": str(reason)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return answer


def main(name: str, device: str, threads: str) -> None:
    """Answer until the input ends."""
    # Packages print on import; whatever they say must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    torch.set_num_threads(int(threads))
    worker = Worker(name, device)
    for line in sys.stdin:
        answers.write(json.dumps(_answer(worker, json.loads(line))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
