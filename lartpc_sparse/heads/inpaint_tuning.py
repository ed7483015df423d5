"""Search for the activation threshold of the inpainting head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.tuning import Tuned, Tuner
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts, count_activations

if TYPE_CHECKING:
    from lartpc_sparse.heads.inpaint import InpaintConfig

__all__ = ["InpaintTuner"]


class InpaintTuner(Tuner):
    """The threshold with the highest F1 over the candidates of all gaps.

    Args:
        config: of the head.
    """

    def __init__(self, config: InpaintConfig) -> None:
        self.config = config
        self.counts = VoxelCounts.none(len(THRESHOLDS))

    def update(self, output: Mapping[str, Tensor], batch: Batch) -> None:
        """See `Tuner.update`."""
        candidate = batch.label("candidate").cpu().numpy().astype(bool)
        active = batch.label("active").cpu().numpy().astype(bool)[candidate]
        probability = torch.sigmoid(output["logit"]).cpu().numpy()[candidate]
        self.counts = self.counts + count_activations(active, probability, THRESHOLDS)

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        f1 = np.array([value or 0.0 for value in self.counts.scores()["f1"]])
        trials = [{"threshold": t, "f1": float(value)} for t, value in zip(THRESHOLDS, f1, strict=True)]
        known = int((self.counts.true_positive + self.counts.false_negative).max()) > 0
        return Tuned({"threshold": THRESHOLDS[int(f1.argmax())] if known else self.config.threshold}, trials)
