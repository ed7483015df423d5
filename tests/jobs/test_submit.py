"""Batch scripts, and a chain tried out before it is queued."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lartpc_sparse.run import main as run
from lartpc_sparse.schema import UserError
from lartpc_sparse.submit import batch_script, main

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((REPOSITORY / "configs" / "slurm").glob("*.sbatch"))
JobChain = Callable[..., list[str]]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_templates_make_scripts(template: Path, job_chain: JobChain, tmp_path: Path) -> None:
    chain = Path(job_chain("run")[0])
    script = batch_script(
        template, chain, ["--set", "run.name=two words"], sbatch=["partition=gpu"], log_dir=tmp_path / "logs"
    )
    assert "--set 'run.name=two words'" in script
    assert "#SBATCH --partition=gpu\n" in script
    assert "${" not in script
    assert "#SBATCH --requeue" in script
    options = [number for number, line in enumerate(script.splitlines()) if line.startswith("#SBATCH")]
    commands = [number for number, line in enumerate(script.splitlines()) if line and not line.startswith("#")]
    assert max(options) < min(commands)  # sbatch reads no options behind the first command
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_submits_through_sbatch(job_chain: JobChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "sbatch"
    fake.write_text('#!/bin/sh\ncat > "$(dirname "$0")/seen"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert main([job_chain("run")[0], "--template", str(TEMPLATES[0]), "--submit", "--", "--only", "train"]) == 0
    assert "--only train" in (tmp_path / "seen").read_text()


def test_mistakes_are_found_before_the_queue(
    job_chain: JobChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = job_chain("run")[0]
    assert main([chain, "--template", str(TEMPLATES[0]), "--", "--set", "train.epochs=0"]) == 2
    assert "train.epochs" in capsys.readouterr().err
    with pytest.raises(UserError, match="no template"):
        batch_script(tmp_path / "none.sbatch", Path(chain))
    with pytest.raises(UserError, match="spaces or line breaks"):
        batch_script(TEMPLATES[0], Path(chain), sbatch=["time=1\n#SBATCH --wrap=evil"])
    (tmp_path / "own.sbatch").write_text("#!/bin/bash\necho ${HOME}\n")
    with pytest.raises(UserError, match=r"write \$HOME"):
        batch_script(tmp_path / "own.sbatch", Path(chain))


def test_dry_run(job_chain: JobChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = job_chain("run", only="train predict")
    assert run([*command, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "train" in out
    assert "predict" in out
    assert "free disk" in out
    assert not (tmp_path / "run").exists()
    assert run([*command, "--dry-run", "--set", "data.test.limit=1", "predict.checkpoint=/no/such.ckpt"]) == 2


def test_a_dry_run_of_a_chain_that_has_not_simulated_its_events_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planes = Path(__file__).resolve().parents[2] / "configs" / "sparsessnet_planes_small.yaml"
    assert run([str(planes), "--dry-run", "--set", "run.output_dir=" + str(tmp_path / "${plane}")]) == 0
    assert capsys.readouterr().out.count("not simulated") == 2 * 3  # train and predict of three planes


def test_a_dry_run_refuses_a_disk_that_is_too_small(
    job_chain: JobChain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lartpc_sparse.steps.dry_run._free_disk", lambda folder: 1000)
    assert run([*job_chain("run"), "--dry-run"]) == 4
    assert "the chain writes about" in capsys.readouterr().err
