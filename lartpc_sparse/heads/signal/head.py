"""Signal head: binary selection of pixels before clustering (seed: focal loss, alpha 4 on the signal)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from lartpc_sparse.cluster.pixels import PixelClusteringConfig, cluster_table
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.heads.base import Averages, Decoded, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.signal.binning import binning_conflict
from lartpc_sparse.heads.signal.evaluation import SignalEvaluationConfig
from lartpc_sparse.heads.signal.evaluator import SignalEvaluator
from lartpc_sparse.heads.signal.losses import SignalBceConfig, SignalDiceConfig, SignalFocalConfig, SignalLossConfig
from lartpc_sparse.heads.signal.tuning import SignalTuner
from lartpc_sparse.schema import Config, OneOf
from lartpc_sparse.sparse import SparseTensor

__all__ = ["RecallConfig", "SignalConfig", "SignalHead"]

LossField = Annotated[SignalLossConfig, OneOf(SignalFocalConfig, SignalBceConfig, SignalDiceConfig)]


class RecallConfig(Config):
    """What the step `tune` holds the threshold to."""

    target: float = Field(0.9, gt=0, le=1, description="recall on the validation events")
    of: Literal["pixels", "recoils"] = Field("pixels", description="of signal pixels, or of true recoils")
    min_pixels: int = Field(3, ge=1, description="selected pixels that make a recoil found; for `of: recoils`")


class SignalConfig(HeadConfig):
    """Configuration of `SignalHead`."""

    averages: ClassVar[Averages] = "networks"
    decoding: ClassVar[frozenset[str]] = frozenset({"threshold", "recall", "keep_probability", "clusters"})

    kind: Literal["signal"] = "signal"
    signal: tuple[str, ...] = Field(
        ("signal",), min_length=1, description="classes of the label `semantic` that are signal; the others are not"
    )
    losses: tuple[LossField, ...] = Field(
        (SignalFocalConfig(),), min_length=1, description="terms of the loss, added up; each kind at most once"
    )
    prior: float = Field(0.01, gt=0, lt=1, description="signal probability before training")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel is selected; `tune` sets it")
    recall: RecallConfig = Field(RecallConfig(), description="what `tune` chooses the threshold by")
    keep_probability: float = Field(0.01, ge=0, lt=1, description="smaller probabilities are written as 0")
    clusters: PixelClusteringConfig = Field(
        PixelClusteringConfig(), description="how selected pixels become clusters, and what is measured of them"
    )
    evaluate: SignalEvaluationConfig = SignalEvaluationConfig()

    @field_validator("losses")
    @classmethod
    def _kinds(cls, losses: tuple[SignalLossConfig, ...]) -> tuple[SignalLossConfig, ...]:
        kinds = [loss.kind for loss in losses]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"losses must differ in kind, got {', '.join(kinds)}")
        return losses

    def check_source(self, name: str, source: ReaderConfig) -> None:
        """Images must be binned as the clusters are said to be; see `HeadConfig.check_source`."""
        factor = getattr(source, "factor", None)
        conflict = None if factor is None else binning_conflict(name, self.clusters, self.evaluate, factor)
        if conflict is not None:
            raise ValueError(conflict)

    def truth_of(self, batch: Batch) -> Tensor:
        """1 signal, 0 background, -1 not labelled, for every pixel."""
        label = batch.label("semantic")
        wanted = [number for number, name in enumerate(batch.classes) if name in self.signal]
        signal = torch.isin(label, torch.tensor(wanted, dtype=label.dtype, device=label.device))
        return torch.where(label < 0, -1, signal.to(label.dtype))

    @property
    def reports_network_time(self) -> bool:
        """It does: selection and clustering are compared with the classical chain."""
        return True

    def finish(self, name: str, prediction: Prediction) -> Prediction:
        """Adds the clusters of an image: column `cluster` of the pixels, and the cluster table; nothing in 3D."""
        if prediction.coords.shape[1] != 2:
            return prediction
        selected = prediction.columns[f"{name}/selected"] > 0
        cluster = np.full(len(prediction), -1, dtype=np.int32)
        found = self.clusters.find(prediction.coords[selected], prediction.energy[selected])
        cluster[selected] = found
        columns = {**prediction.columns, f"{name}/cluster": cluster}
        size = prediction.coords.max(axis=0, initial=0) + 1
        table = cluster_table(
            prediction.coords, prediction.energy, cluster, self.clusters, (int(size[0]), int(size[1]))
        )
        return replace(prediction, columns=columns, tables={**prediction.tables, name: table})

    def build(self, *, in_channels: int, dim: int) -> SignalHead:
        """See `HeadConfig.build`."""
        del dim
        return SignalHead(self, in_channels)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> SignalEvaluator:
        """See `HeadConfig.evaluator`."""
        return SignalEvaluator(name, self.signal, truth_classes, self.clusters, self.evaluate, self.threshold)


class SignalHead(Head):
    """One linear layer to the logit of signal."""

    def __init__(self, config: SignalConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        self.predict = nn.Linear(in_channels, 1)
        # Few pixels are signal: beginning at that rate spares the first hundred steps (arXiv:1708.02002, 4.1).
        nn.init.constant_(self.predict.bias, math.log(config.prior / (1.0 - config.prior)))

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`logit` (N,)."""
        del batch
        return {"logit": self.predict(features["features"].feats).float().squeeze(1)}

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """One term for each of `losses`, by kind, its factor included."""
        truth = self.config.truth_of(batch)
        return {loss.kind: loss.weight * loss.term(output["logit"], truth) for loss in self.config.losses}

    def monitor(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """`recall` and `precision` of the pixels whose probability is above one half, whatever `threshold` is."""
        truth = self.config.truth_of(batch)
        chosen = output["logit"] > 0
        right = (chosen & (truth == 1)).sum()
        return {
            "recall": right / (truth == 1).sum().clamp(min=1),
            "precision": right / (chosen & (truth >= 0)).sum().clamp(min=1),
        }

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Logit of the mean probability."""
        if len(outputs) == 1:
            return outputs[0]
        return {"logit": torch.logit(torch.stack([torch.sigmoid(output["logit"]) for output in outputs]).mean(0))}

    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """`probability` (N,) float32, small ones 0, and `selected` (N,) int8."""
        del batch, semantic
        probability = torch.sigmoid(output["logit"]).cpu().numpy().astype(np.float32)
        selected = (probability >= self.config.threshold).astype(np.int8)
        probability[probability < self.config.keep_probability] = 0
        return Decoded(columns={"probability": probability, "selected": selected})

    def tuner(self) -> SignalTuner:
        """See `Head.tuner`."""
        return SignalTuner(self.config)
