"""Engines and precisions in a chain: what is said, what is refused, and what bfloat16 changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main
from lartpc_sparse.sparse.engines import cpu_engine, registry

Arguments = Callable[..., list[str]]


def _semantic(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of all voxels."""
    with PredictionFile(file) as predictions:
        events = [event.columns for event in predictions]
    return tuple(np.concatenate([event[f"semantic/{name}"] for event in events]) for name in ("label", "probability"))


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_bf16_from_training_to_report(engine: str, small_chain: Arguments, tmp_path: Path) -> None:
    arguments = small_chain(
        "run.threads=1", "train.epochs=1", "train.precision=bf16", "predict.precision=bf16", f"run.engine={engine}"
    )
    assert main(arguments) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    assert main([*arguments, "predict.precision=32", "predict.output=fp32.h5", "--only", "predict"]) == 0
    labels, probabilities = _semantic(tmp_path / "run" / "predictions.h5")
    exact_labels, exact_probabilities = _semantic(tmp_path / "run" / "fp32.h5")
    assert len(labels) > 1000
    assert len(np.unique(exact_labels)) > 1  # decisions to get wrong
    assert np.mean(labels == exact_labels) >= 0.99
    assert not np.array_equal(probabilities, exact_probabilities)  # it did compute in bfloat16
    np.testing.assert_allclose(probabilities, exact_probabilities, atol=0.02)


def test_predictions_of_two_engines_agree(small_chain: Arguments, tmp_path: Path) -> None:
    assert main(small_chain("run.threads=1", "train.epochs=1", "run.engine=torch", "--only", "train", "predict")) == 0
    arguments = small_chain(
        "run.threads=1", "train.epochs=1", "run.engine=auto", "predict.output=auto.h5", "--only", "predict"
    )
    assert main(arguments) == 0
    labels, probabilities = _semantic(tmp_path / "run" / "auto.h5")
    labels_of_torch, probabilities_of_torch = _semantic(tmp_path / "run" / "predictions.h5")
    with PredictionFile(tmp_path / "run" / "predictions.h5") as predictions:
        said = {name: predictions.attributes[name] for name in ("engine", "device", "precision")}
    assert said == {"engine": "torch", "device": "cpu", "precision": "32"}
    np.testing.assert_allclose(probabilities, probabilities_of_torch, atol=1e-5)
    assert np.mean(labels == labels_of_torch) >= 0.999  # a tie may go either way


def test_the_choice_and_its_reason_are_said_once(
    small_chain: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = small_chain("run.threads=1", "train.epochs=1", "run.device=cpu", "--only", "train", "predict")
    monkeypatch.setattr(cpu_engine, "reason_unavailable", lambda device: "no kernels here; install a compiler")
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("engine torch: instead of cpu: no kernels here; install a compiler") == 1
    assert out.count("engine ") == 1


def test_emulated_bf16_is_said_once_where_it_is_used(
    small_chain: Arguments, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if cpu_engine.reason_unavailable("cpu") is not None:
        pytest.skip("the C++ kernels were not built")
    line = "precision bf16: this processor has no AVX512_BF16; the kernels emulate it, correct but not faster than 32"
    for instruction_set, precision, times in (("avx2", "bf16", 1), ("avx2", "32", 0), ("avx512_bf16", "bf16", 0)):
        monkeypatch.setattr(registry, "_instruction_set", lambda name=instruction_set: name)
        arguments = small_chain(
            "run.threads=1", "train.epochs=1", f"train.precision={precision}", "run.device=cpu", "--only", "train"
        )
        assert main(arguments) == 0
        assert capsys.readouterr().out.count(line) == times, (instruction_set, precision)


def test_what_cannot_run_is_refused_before_anything_starts(
    small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(small_chain("run.threads=1", "run.device=cpu", "run.engine=triton")) == 2
    assert "engine triton cannot run here: the Triton engine needs" in capsys.readouterr().err
    assert main(small_chain("run.threads=1", "run.device=cpu", "predict.precision=16")) == 2
    assert "predict.precision 16 needs a CUDA device; use bf16 or 32 on a CPU" in capsys.readouterr().err
    assert main(small_chain("run.threads=1", "run.engine=spconv")) == 2
    assert "should be 'auto', 'cpu', 'triton', 'torch', 'minkowski' or 'dense'" in capsys.readouterr().err
    assert not (tmp_path / "run" / "training").exists()
