"""Search for the activation threshold of the inpainting head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.tuning import Tuned, Tuner

if TYPE_CHECKING:
    from lartpc_sparse.heads.inpaint import InpaintConfig

__all__ = ["InpaintTuner"]

THRESHOLDS = np.round(np.arange(0.02, 1.0, 0.02), 2)


class InpaintTuner(Tuner):
    """The threshold with the highest F1 over the candidates of all gaps.

    Args:
        config: of the head.
    """

    def __init__(self, config: InpaintConfig) -> None:
        self.config = config
        # Candidates by the number of thresholds that their probability reaches, active and not.
        self.active = np.zeros(len(THRESHOLDS) + 1, dtype=np.int64)
        self.empty = np.zeros(len(THRESHOLDS) + 1, dtype=np.int64)

    def update(self, output: Mapping[str, Tensor], batch: Batch) -> None:
        """See `Tuner.update`."""
        candidate = batch.label("candidate").cpu().numpy().astype(bool)
        active = batch.label("active").cpu().numpy().astype(bool)[candidate]
        # float64: float32(0.02) < 0.02 would drop candidates that lie on the threshold
        probability = torch.sigmoid(output["logit"]).cpu().numpy().astype(np.float64)[candidate]
        reached = np.searchsorted(THRESHOLDS, probability, side="right")
        self.active += np.bincount(reached[active], minlength=len(self.active))
        self.empty += np.bincount(reached[~active], minlength=len(self.empty))

    def result(self) -> Tuned:
        """See `Tuner.result`."""
        true_positive = self.active[::-1].cumsum()[::-1][1:]
        false_positive = self.empty[::-1].cumsum()[::-1][1:]
        f1 = 2 * true_positive / np.maximum(true_positive + false_positive + self.active.sum(), 1)
        trials = [{"threshold": float(t), "f1": float(value)} for t, value in zip(THRESHOLDS, f1, strict=True)]
        best = float(THRESHOLDS[f1.argmax()]) if self.active.sum() else self.config.threshold
        return Tuned({"threshold": best}, trials)
