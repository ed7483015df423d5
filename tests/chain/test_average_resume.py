"""A training with an average of the weights that breaks off goes on as if it had not, and predicts with the average."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.run import main
from lartpc_sparse.train import TrainingModule
from lartpc_sparse.weights import read_checkpoint, read_state

Arguments = Callable[..., list[str]]

OPTIONS = (
    "train.epochs=3",
    "run.threads=1",
    "data.test.limit=2",
    "model.heads={semantic: {kind: semantic}, gaps: {kind: inpaint}}",
)


class PowerCutError(Exception):
    """The training breaks off."""


def break_off_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch after so many ends the process, as it were."""
    train, seen = TrainingModule.training_step, []

    def training_step(self: TrainingModule, batch: Batch, batch_idx: int) -> Tensor:
        seen.append(batch_idx)
        if len(seen) > step:
            raise PowerCutError
        return train(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)


@pytest.mark.parametrize(
    ("average", "every"),
    [
        ("{kind: ema, decay: 0.8}", "1"),
        ("{kind: swa, start_fraction: 0.2, batch_norm: recomputed, batch_norm_batches: 1}", "null"),
    ],
    ids=["ema, saved each step", "swa, saved each epoch"],
)
def test_a_broken_training_continues(
    average: str, every: str, small_chain: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*OPTIONS, f"train.average={average}", f"train.checkpoint_every_steps={every}")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*small_chain(*options, folder=whole), "--only", "train", "predict"]) == 0
    with monkeypatch.context() as patch:
        break_off_at(5, patch)  # of nine
        with pytest.raises(PowerCutError):
            main([*small_chain(*options, folder=broken), "--only", "train"])
    assert main([*small_chain(*options, folder=broken), "--only", "train"]) == 0

    for name in ("best.ckpt", "last.ckpt"):
        ours, reference = (read_checkpoint(folder / "training" / name) for folder in (broken, whole))
        assert ours["global_step"] == reference["global_step"]
        for part in ("state_dict", "own_state_dict", "averaged_state_dict"):
            assert ours[part].keys() == reference[part].keys()
            assert all(torch.equal(ours[part][key], value) for key, value in reference[part].items()), (name, part)

    checkpoint: dict[str, Any] = read_checkpoint(whole / "training" / "last.ckpt")
    state = read_state(whole / "training" / "last.ckpt")
    name = "heads.semantic.classify.weight"
    assert torch.equal(state[name], checkpoint["averaged_state_dict"][name])  # what predict reads
    assert not torch.equal(state[name], checkpoint["own_state_dict"][f"network.{name}"])
