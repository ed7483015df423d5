"""The threshold of the signal head: the highest that reaches a target recall on validation events."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.tuning import Tuned, Tuner
from lartpc_sparse.schema import UserError

if TYPE_CHECKING:
    from lartpc_sparse.heads.signal.head import SignalConfig

__all__ = ["THRESHOLDS", "SignalTuner"]

logger = logging.getLogger("lartpc_sparse")
THRESHOLDS = np.round(np.concatenate([np.arange(0.002, 0.05, 0.002), np.arange(0.05, 1.0, 0.01)]), 3)


class SignalTuner(Tuner):
    """Counts pixels, and true recoils with enough pixels, for every threshold.

    Args:
        config: of the head; `recall` says what is counted and how much is wanted.
    """

    def __init__(self, config: SignalConfig) -> None:
        self.config = config
        # By the number of thresholds that a probability reaches.
        self.signal = np.zeros(len(THRESHOLDS) + 1, dtype=np.int64)
        self.background = np.zeros(len(THRESHOLDS) + 1, dtype=np.int64)
        self.recoils = np.zeros(len(THRESHOLDS) + 1, dtype=np.int64)
        self.images = 0

    def update(self, output: Mapping[str, Tensor], batch: Batch, plain: Batch | None = None) -> None:
        """See `Tuner.update`."""
        del plain
        truth = self.config.truth_of(batch).cpu().numpy()
        probability = torch.sigmoid(output["logit"]).cpu().numpy().astype(np.float64)
        reached = np.searchsorted(THRESHOLDS, probability, side="right")
        self.signal += np.bincount(reached[truth == 1], minlength=len(self.signal))
        self.background += np.bincount(reached[truth == 0], minlength=len(self.background))
        self.images += len(batch)
        if "instance" in batch.labels:
            instance = batch.labels["instance"].cpu().numpy()
            own = (truth == 1) & (instance >= 0)
            event = batch.batch_index().cpu().numpy()[own]
            key = event * (int(instance.max(initial=0)) + 1) + instance[own]
            self.recoils += np.bincount(self._enough(key, reached[own]), minlength=len(self.recoils))

    def _enough(self, key: np.ndarray, reached: np.ndarray) -> np.ndarray:
        """For every recoil, the thresholds at which at least `min_pixels` of its pixels are selected."""
        order = np.lexsort((-reached, key))
        key, reached = key[order], reached[order]
        _, first, count = np.unique(key, return_index=True, return_counts=True)
        wanted = min(self.config.recall.min_pixels, 1 << 30)
        last = first + np.minimum(wanted, count) - 1
        return np.where(count >= wanted, reached[last] if len(last) else last, 0)

    def result(self) -> Tuned:
        """See `Tuner.result`.

        Raises:
            UserError: recoils are wanted, and the validation events have signal but no recoils.
        """
        kept, wrong, found = (_reaching(counts) for counts in (self.signal, self.background, self.recoils))
        pixel_recall = kept / max(int(self.signal.sum()), 1)
        recoil_recall = found / max(int(self.recoils.sum()), 1)
        trials = [
            {
                "threshold": float(threshold),
                "pixel_recall": float(pixel_recall[number]),
                "recoil_recall": float(recoil_recall[number]),
                "precision": float(kept[number] / max(int(kept[number] + wrong[number]), 1)),
                "pixels_per_image": float((kept[number] + wrong[number]) / max(self.images, 1)),
            }
            for number, threshold in enumerate(THRESHOLDS)
        ]
        wanted = self.config.recall
        if not self.signal.sum():
            return Tuned({"threshold": self.config.threshold}, trials)
        if wanted.of == "recoils" and not self.recoils.sum():
            raise UserError(
                "tune: validation has signal but no recoils (label `instance`) for `recall: {of: recoils}`; "
                "give frames with their truth, or use `of: pixels`"
            )
        recall = pixel_recall if wanted.of == "pixels" else recoil_recall
        good = np.flatnonzero(recall >= wanted.target)
        if not len(good):
            logger.warning(
                "tune: no threshold reaches a recall of %.3g of %s: at the lowest, %g, it is %.3g, and that is taken",
                wanted.target,
                wanted.of,
                THRESHOLDS[0],
                recall[0],
            )
        return Tuned({"threshold": float(THRESHOLDS[good[-1] if len(good) else 0])}, trials)


def _reaching(counts: np.ndarray) -> np.ndarray:
    """From numbers by thresholds reached to numbers that reach each threshold."""
    reaching: np.ndarray = counts[::-1].cumsum()[::-1][1:]
    return reaching
