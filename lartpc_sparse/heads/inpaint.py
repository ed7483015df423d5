"""Inpainting of missing regions (LArDRIP): which candidate voxels are active, and with what energy.

The missing region is filled with a dense grid of candidates; the network says of each whether it is active and what
energy it holds. Source of the task and of the energy loss: LArDRIP (H. Utaegbulam, University of Rochester); the
activation output and its cross-entropy are this project's addition.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Shaped
from pydantic import Field, model_validator
from torch import Tensor, nn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.transforms import MaskBoxesConfig, Transform, TransformConfig
from lartpc_sparse.heads.base import Averages, Decoded, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.by_gap_width import value_at_width, width_around
from lartpc_sparse.heads.gap_view import HINTS, MaskRegionsConfig
from lartpc_sparse.heads.inpaint_charge import ChargeFactor
from lartpc_sparse.heads.inpaint_evaluator import InpaintEvaluationConfig, InpaintEvaluator
from lartpc_sparse.heads.inpaint_fill import crossing_thresholds, filled_energy
from lartpc_sparse.heads.inpaint_regression import RegressionConfig, TermWeights
from lartpc_sparse.heads.inpaint_threshold import FillThreshold
from lartpc_sparse.heads.inpaint_tuning import InpaintTuner
from lartpc_sparse.heads.losses import activation_loss, charge_loss, track_nontrack_terms
from lartpc_sparse.schema import OneOf
from lartpc_sparse.sparse import SparseTensor

__all__ = ["InpaintConfig", "InpaintHead", "RegionViewField"]

RegionViewField = Annotated[TransformConfig, OneOf(MaskBoxesConfig, MaskRegionsConfig)]


class InpaintConfig(HeadConfig):
    """Configuration of `InpaintHead`."""

    averages: ClassVar[Averages] = "networks"
    decoding: ClassVar[frozenset[str]] = frozenset(
        {
            "inference_region",
            "threshold",
            "crossing_share",
            "keep_probability",
            "fill",
            "energy_scale",
            "calibration",
            "tune",
        }
    )

    kind: Literal["inpaint"] = "inpaint"
    region: RegionViewField = MaskBoxesConfig()
    inference_region: RegionViewField | None = Field(
        None, description="what is missing in the steps tune and predict, such as gaps at fixed places; null: `region`"
    )
    mask_fraction: float = Field(
        0.5, gt=0, le=1, description="share of the training events that are masked; the others train the other heads"
    )
    regression: RegressionConfig = RegressionConfig()
    energy_weight: float = Field(1.0, ge=0, description="factor of the energy loss")
    activation_weight: float = Field(1.0, ge=0, description="factor of the activation cross-entropy")
    positive_weight: float = Field(1.0, gt=0, description="weight of active candidates in the cross-entropy")
    focal_gamma: float = Field(0.0, ge=0, description="focal loss (arXiv:1708.02002) for the activation; 0: BCE")
    charge_weight: float = Field(0.0, ge=0, description="factor of the loss on the summed charge of each crossing")
    prior: float = Field(0.02, gt=0, lt=1, description="activation probability before training")
    threshold: FillThreshold = Field(
        0.5,
        description="activation probability from which a voxel is filled; pairs of gap width (voxels) and probability "
        "let it go with the width: the wider a gap, the less is known",
    )
    crossing_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="a crossing is filled from crossing_share x F1 / 2 on, with F1 what its probabilities promise, if "
        "that is above threshold: tracks, of which more is known than of showers, become thinner",
    )
    keep_probability: float = Field(
        0.02, ge=0, lt=1, description="candidates below it are not written, unless they are truly active"
    )
    fill: Literal["energy", "expected"] = Field(
        "energy",
        description="a filled voxel holds its energy, or the expected energy (probability x energy) of itself and of "
        "the candidates around it that are not filled, which keeps the charge of a gap",
    )
    energy_scale: float = Field(
        1.0,
        gt=0,
        description="factor on all predicted energies, back to the unit of the file if a transform changed it",
    )
    calibration: ChargeFactor = Field(
        1.0,
        description="another such factor, chosen by `tune` so that tracks' charge is right; pairs of gap width "
        "(voxels) and factor let it go with the width",
    )
    tune: tuple[Literal["threshold", "calibration"], ...] = Field(
        ("threshold", "calibration"),
        description="what the step `tune` chooses; calibration alone, say, on events of one track each",
    )
    evaluate: InpaintEvaluationConfig = InpaintEvaluationConfig()

    @property
    def hints(self) -> tuple[str, ...]:
        """See `HeadConfig.hints`."""
        return HINTS if isinstance(self.region, MaskRegionsConfig) and self.region.hints else ()

    @model_validator(mode="after")
    def _same_hints(self) -> InpaintConfig:
        other = self.inference_region
        if other is not None and self.hints and not (isinstance(other, MaskRegionsConfig) and other.hints):
            raise ValueError("inference_region.hints must be true as region.hints is: the network reads them")
        return self

    @property
    def view_fraction(self) -> float:
        """See `HeadConfig.view_fraction`."""
        return self.mask_fraction

    def view(self) -> Transform | None:
        """The masked image."""
        return self.region.build()

    def inference_view(self) -> Transform | None:
        """See `HeadConfig.inference_view`."""
        return (self.inference_region or self.region).build()

    def fill_of(
        self, table: Mapping[str, Shaped[np.ndarray, "K ..."]], widths: Float64[np.ndarray, " K"]
    ) -> Float32[np.ndarray, " K"]:
        """Energy that goes into each of K candidates of an event.

        Args:
            table: `coords`, `probability`, `energy` and `gap` of the candidates.
            widths: of the gap of each, voxels.
        """
        coords, probability, gap = table["coords"], table["probability"], table["gap"]
        thresholds = crossing_thresholds(
            coords, probability, gap, value_at_width(self.threshold, widths), self.crossing_share
        )
        expected = self.fill == "expected"
        return filled_energy(coords, probability, table["energy"], gap, thresholds, expected=expected)

    def build(self, *, in_channels: int, dim: int) -> InpaintHead:
        """See `HeadConfig.build`."""
        del dim
        return InpaintHead(self, in_channels)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> InpaintEvaluator:
        """See `HeadConfig.evaluator`."""
        return InpaintEvaluator(self.evaluate, name, truth_classes, self.threshold)


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
        self.term_weights = TermWeights(config.regression)

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`logit` (N,) of activation and `energy` (N,) in MeV, on all voxels."""
        del batch
        raw = self.predict(features["features"].feats).float()
        return {"logit": raw[:, 0], "energy": F.softplus(raw[:, 1])}

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """`activation`, `track`, `nontrack`; `charge` where it has a weight; `uncertainty` of homoscedastic weights."""
        config = self.config
        candidate = batch.label("candidate")
        active = batch.label("active")[candidate]
        target = batch.label("target_energy")[candidate]
        logit, energy = output["logit"][candidate], output["energy"][candidate]
        track, nontrack = track_nontrack_terms(energy, target, active, config.regression.form)
        weights, added = self.term_weights(logit)
        terms = {
            "activation": config.activation_weight
            * activation_loss(logit, active, config.positive_weight, config.focal_gamma),
            "track": config.energy_weight * weights[0] * track,
            "nontrack": config.energy_weight * weights[1] * nontrack,
        }
        if config.regression.weighting == "homoscedastic":
            terms["uncertainty"] = config.energy_weight * added + 0.0 * logit.sum()
        if config.charge_weight > 0:
            crossing = (
                batch.label("crossing")[candidate] + (int(batch.coords.shape[0]) + 1) * batch.batch_index()[candidate]
            )
            terms["charge"] = config.charge_weight * charge_loss(torch.sigmoid(logit), energy, target, crossing)
        return terms

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Logit of the mean probability, and the mean energy."""
        if len(outputs) == 1:
            return outputs[0]
        probability = torch.stack([torch.sigmoid(output["logit"]) for output in outputs]).mean(0)
        return {"logit": torch.logit(probability), "energy": torch.stack([each["energy"] for each in outputs]).mean(0)}

    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """One table an event: `coords`, `probability`, `energy`, `fill`, `gap`; truth `active` and `target_energy`.

        `energy` (MeV) is what the voxel holds if it is active, `fill` what it gets: 0 below `threshold`.
        """
        del semantic
        candidate = batch.labels["candidate"]
        probability = torch.sigmoid(output["logit"])
        columns = {
            "coords": batch.coords,
            "probability": probability,
            "energy": output["energy"] * self.config.energy_scale,
            "active": batch.labels["active"],
            "target_energy": batch.labels["target_energy"],
            "gap": batch.labels["gap"],
        }
        rows = torch.nonzero(candidate).squeeze(1)
        bounds = torch.searchsorted(rows, batch.offsets).tolist()
        all_of = {name: column[rows].cpu().numpy() for name, column in columns.items()}
        tables = []
        for event, (start, stop) in zip(batch.events, itertools.pairwise(bounds), strict=True):
            table = {name: column[start:stop] for name, column in all_of.items()}
            widths = width_around(event.gaps, table["gap"])
            factor = value_at_width(self.config.calibration, widths)
            table["energy"] = (table["energy"] * factor).astype(np.float32)
            table["fill"] = self.config.fill_of(table, widths)
            keep = (table["probability"] >= self.config.keep_probability) | table["active"] | (table["fill"] > 0)
            tables.append({name: column[keep] for name, column in table.items()})
        return Decoded(tables=tables)

    def tuner(self) -> InpaintTuner | None:
        """See `Head.tuner`."""
        return InpaintTuner(self.config) if self.config.tune else None
