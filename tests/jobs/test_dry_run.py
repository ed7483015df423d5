"""What a dry run measures, and what it refuses."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.sampler import EventBatchSampler
from lartpc_sparse.jobs import free_memory_bytes, memory_limited
from lartpc_sparse.run import main
from lartpc_sparse.steps import trial
from lartpc_sparse.steps.setup import training_dataset
from lartpc_sparse.steps.trial import try_training
from lartpc_sparse.yaml_config import load_config

JobChain = Callable[..., list[str]]


def chain_of(command: list[str]) -> ChainConfig:
    return load_config(Path(command[0]), ChainConfig, command[2 : command.index("--only")])


def test_the_largest_batch_of_all_epochs_is_tried(job_chain: JobChain) -> None:
    command = job_chain("run", "data.train.limit=11", "data.batch.events=3", "train.epochs=4")
    for seed in range(20):
        config = chain_of([*command[:2], f"run.seed={seed}", *command[2:]])
        assert config.data.train is not None
        counts = training_dataset(config, config.data.train, training=True).num_voxels()
        sampler = EventBatchSampler(counts, config.data.batch, shuffle=True, seed=seed)
        sizes = [[int(counts[batch].sum()) for batch in sampler.batches(epoch)] for epoch in range(4)]
        if max(map(max, sizes)) > max(sizes[0]):  # a seed with which it is not in the first epoch
            break
    found = try_training(config)
    assert found.voxels == max(map(max, sizes)) > max(sizes[0])
    assert (found.all_events, found.all_voxels, found.batches) == (44, 4 * counts.sum(), 16)
    assert found.all_seconds == pytest.approx(found.seconds * found.all_voxels / found.voxels)


@pytest.mark.parametrize(("kind", "moments"), [("adamw", 2), ("sgd", 1)])
def test_the_state_of_the_optimiser_is_there(
    job_chain: JobChain, monkeypatch: pytest.MonkeyPatch, kind: str, moments: int
) -> None:
    made: list[torch.optim.Optimizer] = []
    real = trial.build_optimizer
    monkeypatch.setattr(trial, "build_optimizer", lambda *given: made.append(real(*given)) or made[0])
    found = try_training(chain_of(job_chain("run", f"train.optimizer.kind={kind}")))
    parameters = [value for group in made[0].param_groups for value in group["params"]]
    assert all(made[0].state[value] for value in parameters)
    weights = sum(value.nbytes for value in parameters)
    assert found.result_bytes / (4 * (1 + moments) * weights) == pytest.approx(1, rel=0.05)


def test_memory_that_is_not_there_ends_it_with_a_cure(
    job_chain: JobChain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    command = [*job_chain("run", "model.backbone.filters=96", "data.batch.events=5"), "--dry-run"]
    monkeypatch.setattr("lartpc_sparse.steps.trial.free_memory_bytes", lambda: {"host": 8 << 20})
    assert main(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "train: the largest batch, 5 events with" in said
    assert "does not fit into the memory that is free here (host 8 MiB); make data.batch or the model smaller" in said
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    monkeypatch.undo()
    assert main(command) == 0


def test_memory_that_is_nearly_used_up_is_a_warning(
    job_chain: JobChain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*job_chain("run"), "--dry-run"]) == 0
    assert "warning" not in capsys.readouterr().out
    monkeypatch.setattr("lartpc_sparse.steps.dry_run.free_memory_bytes", lambda: {"host": 1 << 20})
    assert main([*job_chain("run"), "--dry-run"]) == 0
    assert "warning: train takes" in capsys.readouterr().out


def test_errors_of_other_kinds_are_not_called_memory(job_chain: JobChain, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("lartpc_sparse.network.Network.loss", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        try_training(chain_of(job_chain("run")))


def test_a_limit_makes_allocations_fail() -> None:
    with memory_limited(16 << 20):
        small = np.ones(1 << 20)
        with pytest.raises(MemoryError):
            np.ones(256 << 20)
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            torch.ones(256 << 20)
    assert small.sum() == 1 << 20
    assert len(np.ones(64 << 20)) == 64 << 20


def machine(folder: Path, line: str, **files: str) -> dict[str, int]:
    """Free memory where /proc and the control groups say what is given."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(f"5:devices:/\n{line}\n")
    for name, text in files.items():
        path = folder / "groups" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return free_memory_bytes(folder / "proc", folder / "groups")


def test_memory_that_a_batch_system_leaves(tmp_path: Path) -> None:
    k = 1024
    limit, used, stat = "memory_DOT_max", "memory_DOT_current", "memory_DOT_stat"
    job = {f"slurm__job__{limit}": "max", f"slurm__job__{used}": "5", f"slurm__job__{stat}": "inactive_file 1"}
    above = {f"slurm__{limit}": str(4000 * k), f"slurm__{used}": str(3000 * k), f"slurm__{stat}": f"inactive_file {k}"}
    assert machine(tmp_path / "none", "0::/")["host"] == 8000 * k
    assert machine(tmp_path / "v2", "0::/slurm/job", **job, **above)["host"] == 1001 * k
    old = {
        "memory__job__memory_DOT_limit_in_bytes": str(2000 * k),
        "memory__job__memory_DOT_usage_in_bytes": str(500 * k),
        "memory__job__memory_DOT_stat": f"total_inactive_file {k}",
    }
    assert machine(tmp_path / "v1", "4:memory:/job", **old)["host"] == 1501 * k
    assert free_memory_bytes(tmp_path / "no", tmp_path) == {
        name: size for name, size in free_memory_bytes().items() if name != "host"
    }
