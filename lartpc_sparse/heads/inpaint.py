"""Inpainting of missing regions (LArDRIP): which candidate voxels are active, and with what energy.

The missing region is filled with a dense grid of candidates; the network says of each whether it is active and what
energy it holds. Source of the task and of the energy loss: LArDRIP (H. Utaegbulam, University of Rochester); the
activation output and its cross-entropy are this project's addition.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor, nn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.transforms import MaskBoxesConfig, Transform, TransformConfig
from lartpc_sparse.heads.base import Decoded, Evaluator, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.inpaint_tuning import InpaintTuner
from lartpc_sparse.heads.losses import RegressionForm, track_nontrack_terms
from lartpc_sparse.metrics.inpainting import GapResult, inpainting_scores
from lartpc_sparse.schema import Config, OneOf
from lartpc_sparse.sparse import SparseTensor

__all__ = ["InpaintConfig", "InpaintEvaluator", "InpaintHead"]


class RegressionConfig(Config):
    """The energy loss w_0 L_track + w_1 L_nontrack."""

    form: RegressionForm = Field(
        "balanced", description="balanced: each term over its own voxels; literal: both over all candidates"
    )
    weighting: Literal["fixed", "learned_softmax"] = Field(
        "fixed", description="learned_softmax is the literal form: softmax(log w) with learnable w"
    )
    weights: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.5, 0.5), description="(track, nontrack), the start values when learned"
    )

    @model_validator(mode="after")
    def _learnable(self) -> RegressionConfig:
        if self.weighting == "learned_softmax" and min(self.weights) == 0:
            raise ValueError(f"learned weights start from their logarithms and cannot be 0, got {self.weights}")
        return self


class InpaintConfig(HeadConfig):
    """Configuration of `InpaintHead`."""

    kind: Literal["inpaint"] = "inpaint"
    region: Annotated[TransformConfig, OneOf(MaskBoxesConfig)] = MaskBoxesConfig()
    mask_fraction: float = Field(
        0.5, gt=0, le=1, description="share of the training events that are masked; the others train the other heads"
    )
    regression: RegressionConfig = RegressionConfig()
    energy_weight: float = Field(1.0, ge=0, description="factor of the energy loss")
    activation_weight: float = Field(1.0, ge=0, description="factor of the activation cross-entropy")
    positive_weight: float = Field(1.0, gt=0, description="weight of active candidates in the cross-entropy")
    prior: float = Field(0.02, gt=0, lt=1, description="activation probability before training")
    threshold: float = Field(0.5, gt=0, lt=1, description="activation probability above which a voxel is filled")
    keep_probability: float = Field(
        0.02, ge=0, lt=1, description="candidates below it are not written, unless they are truly active"
    )

    @property
    def view_fraction(self) -> float:
        """See `HeadConfig.view_fraction`."""
        return self.mask_fraction

    def view(self) -> Transform | None:
        """The masked image."""
        return self.region.build()

    def build(self, *, in_channels: int, dim: int) -> InpaintHead:
        """See `HeadConfig.build`."""
        del dim
        return InpaintHead(self, in_channels)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> InpaintEvaluator:
        """See `HeadConfig.evaluator`."""
        del truth_classes
        return InpaintEvaluator(self, name)


class InpaintHead(Head):
    """One linear layer to activation logit and energy (softplus keeps it positive)."""

    def __init__(self, config: InpaintConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        self.predict = nn.Linear(in_channels, 2)
        # Few candidates are active: beginning at that rate spares the first hundred steps (arXiv:1708.02002, 4.1).
        nn.init.zeros_(self.predict.bias)
        with torch.no_grad():
            self.predict.bias[0] = math.log(config.prior / (1.0 - config.prior))
        if config.regression.weighting == "learned_softmax":
            self.log_weights = nn.Parameter(torch.tensor(config.regression.weights).log())
        else:
            self.register_buffer("log_weights", None)

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`logit` (N,) of activation and `energy` (N,) in MeV, on all voxels."""
        del batch
        raw = self.predict(features["features"].feats).float()
        return {"logit": raw[:, 0], "energy": F.softplus(raw[:, 1])}

    def _weights(self, like: Tensor) -> Tensor:
        if self.log_weights is None:
            return like.new_tensor(self.config.regression.weights)
        return torch.softmax(self.log_weights, dim=0)

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """`activation`, `track` and `nontrack` over the candidates of the batch."""
        candidate = batch.label("candidate")
        active = batch.label("active")[candidate]
        target = batch.label("target_energy")[candidate]
        logit, energy = output["logit"][candidate], output["energy"][candidate]
        positive = logit.new_tensor(self.config.positive_weight)
        each = F.binary_cross_entropy_with_logits(logit, active.float(), reduction="none", pos_weight=positive)
        track, nontrack = track_nontrack_terms(energy, target, active, self.config.regression.form)
        weights = self._weights(logit) * self.config.energy_weight
        return {
            "activation": self.config.activation_weight * each.sum() / max(len(each), 1),
            "track": weights[0] * track,
            "nontrack": weights[1] * nontrack,
        }

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Logit of the mean probability, and the mean energy."""
        if len(outputs) == 1:
            return outputs[0]
        probability = torch.stack([torch.sigmoid(output["logit"]) for output in outputs]).mean(0)
        return {"logit": torch.logit(probability), "energy": torch.stack([each["energy"] for each in outputs]).mean(0)}

    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """One table an event: `coords`, `probability`, `energy` in MeV, `gap`, and the truth `active`, `target_energy`.

        Energies are what the voxel holds if it is active; a voxel counts as filled from `threshold` on.
        """
        del semantic
        candidate = batch.labels["candidate"]
        probability = torch.sigmoid(output["logit"])
        keep = candidate & ((probability >= self.config.keep_probability) | batch.labels["active"])
        columns = {
            "coords": batch.coords,
            "probability": probability,
            "energy": output["energy"],
            "active": batch.labels["active"],
            "target_energy": batch.labels["target_energy"],
            "gap": batch.labels["gap"],
        }
        rows = torch.nonzero(keep).squeeze(1)
        bounds = torch.searchsorted(rows, batch.offsets).tolist()
        kept = {name: column[rows].cpu().numpy() for name, column in columns.items()}
        tables = [
            {name: column[start:stop] for name, column in kept.items()} for start, stop in itertools.pairwise(bounds)
        ]
        return Decoded(tables=tables)

    def tuner(self) -> InpaintTuner:
        """See `Head.tuner`."""
        return InpaintTuner(self.config)


class InpaintEvaluator(Evaluator):
    """In-gap voxel metrics and charge per gap, beside filling nothing."""

    def __init__(self, config: InpaintConfig, name: str) -> None:
        self.config = config
        self.name = name
        self.gaps: list[GapResult] = []

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        table = prediction.tables.get(self.name)
        if not table or "active" not in table:
            return
        for gap in np.unique(table["gap"]):
            rows = table["gap"] == gap
            self.gaps.append(
                GapResult(
                    coords=table["coords"][rows],
                    active_true=table["active"][rows].astype(bool),
                    probability=table["probability"][rows],
                    energy_true=table["target_energy"][rows],
                    energy_predicted=table["energy"][rows],
                )
            )

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        return {"kind": "inpaint", **inpainting_scores(self.gaps, self.config.threshold)}
