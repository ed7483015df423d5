"""What a chain writes where, and which of its steps are done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError
from lartpc_sparse.train import LOG
from lartpc_sparse.weights import BEST, LAST, find_weights, name_of, sha256_of

__all__ = ["RunFolder", "file_identity", "fingerprint", "weights_identity", "write_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of JSON; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def fingerprint(value: Any) -> str:
    """Hash of a JSON-ready value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_identity(path: Path) -> list[Any]:
    """Name, size and time of a file: changes when it is written again."""
    if not path.exists():
        return [str(path), None]
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def weights_identity(path: Path) -> list[Any]:
    """Name and checksum of weights: the same after a copy, another after a new training."""
    return [name_of(path), sha256_of(path) if path.exists() else None]


@dataclass(frozen=True)
class RunFolder:
    """Paths below `run.output_dir` and the record of the steps."""

    config: ChainConfig

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.config.run.output_dir

    @property
    def simulation(self) -> Path:
        """The simulated events."""
        return self.root / (self.config.simulate.output if self.config.simulate else "events")

    @property
    def simulation_summary(self) -> Path:
        """What was simulated; there when all events are."""
        return self.simulation / "simulation.json"

    @property
    def training(self) -> Path:
        """Checkpoints and logs of the training."""
        return self.root / "training"

    @property
    def training_log(self) -> Path:
        """The CSV log of the training."""
        return self.training / LOG

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def tuned(self) -> Path:
        """The decoding settings that were chosen."""
        return self.root / (self.config.tune.output if self.config.tune else "tuned.json")

    @property
    def filled(self) -> Path:
        """The test events with filled gaps."""
        return self.root / (self.config.inpaint.output if self.config.inpaint else "filled.h5")

    @property
    def predictions(self) -> Path:
        """The predictions file."""
        name = self.config.predict.output if self.config.predict else "predictions.h5"
        return self.root / name

    @property
    def metrics(self) -> Path:
        """The metrics."""
        name = self.config.evaluate.output if self.config.evaluate else "metrics.json"
        return self.root / name

    @property
    def report(self) -> Path:
        """The report."""
        name = self.config.report.output if self.config.report else "report.html"
        return self.root / name

    @property
    def checkpoint(self) -> Path:
        """The checkpoint or weights file that `predict` uses.

        Raises:
            UserError: there are no weights of that name.
        """
        chosen = self.config.predict.checkpoint if self.config.predict else None
        if chosen is None:
            chosen = self.config.weights if self.config.train is None else None
        return self.weights_file(chosen or "best")

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The files of all networks that `predict` averages over: of one, unless there is an ensemble.

        Raises:
            UserError: there are no weights of one of the names.
        """
        if self.config.predict is None or not self.config.predict.ensemble:
            return (self.checkpoint,)
        return tuple(self.weights_file(name) for name in self.config.predict.ensemble)

    def weights_file(self, chosen: str) -> Path:
        """The file of `best` or `last` of this chain's training, or of other weights.

        Raises:
            UserError: there are no weights of that name.
        """
        names = {"best": BEST, "last": LAST}
        return self.training / names[chosen] if chosen in names else find_weights(chosen)

    @property
    def _record(self) -> Path:
        return self.root / "steps.json"

    def steps(self) -> dict[str, dict[str, str]]:
        """What is known of each step: `inputs` (fingerprint), `status` (`running` or `done`) and provenance.

        Raises:
            UserError: the record is damaged.
        """
        if not self._record.exists():
            return {}
        try:
            record: dict[str, dict[str, str]] = json.loads(self._record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self._record} is damaged ({error}); delete it to begin again") from error
        return record

    def mark(self, step: str, inputs: str, status: str) -> None:
        """Record how far a step is."""
        entry: Mapping[str, str] = {"inputs": inputs, "status": status, **provenance()}
        write_json(self._record, {**self.steps(), step: entry})
