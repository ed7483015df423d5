"""A chain as its user writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from lartpc_sparse.data.pipeline import DataConfig
from lartpc_sparse.data.regions import RegionField
from lartpc_sparse.data.sampler import BatchConfig
from lartpc_sparse.data.symmetries import SymmetryConfig
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.report import ReportConfig
from lartpc_sparse.schema import Config, UserError
from lartpc_sparse.simulate.config import SimulateConfig
from lartpc_sparse.sparse import EngineName
from lartpc_sparse.train import Precision, TrainConfig
from lartpc_sparse.weights import fill_from_weights

__all__ = [
    "ChainConfig",
    "EvaluateConfig",
    "FillConfig",
    "PredictConfig",
    "RunConfig",
    "SimulateConfig",
    "TilesConfig",
    "TuneConfig",
]


class RunConfig(Config):
    """Section `run`: name, place and machine."""

    name: str = Field("run", min_length=1, description="shown in the report")
    output_dir: Path = Field(Path("runs/run"), description="folder of everything the chain writes")
    seed: int = Field(0, ge=0, description="of simulated events, weights, order of events, augmentations and masks")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA when there is one")
    engine: EngineName = Field("auto", description="sparse convolutions; auto: the fastest that runs on the device")
    threads: int | None = Field(None, ge=1, description="CPU threads; null: as many as the process may use")


class TuneConfig(Config):
    """Section `tune`: decoding settings of the heads, chosen on the events of `data.validation`."""

    output: str = Field("tuned.json", min_length=1, description="file in output_dir")


class FillConfig(Config):
    """Section `inpaint`: regions of the test events are emptied and filled; `predict` takes what comes out."""

    regions: tuple[RegionField, ...] = Field(min_length=1, description="what is missing, or to be taken as missing")
    fill_with: Literal["network", "line", "reflection", "nothing"] = Field(
        "network",
        description="network: the inpainting head of `weights`; line: straight lines between ends that face each "
        "other; reflection: mirrored voxels; nothing: the regions stay empty",
    )
    weights: str | None = Field(
        None, min_length=1, description="weights with an inpainting head, named as in predict.checkpoint; for network"
    )
    output: str = Field(
        "filled.h5", min_length=1, description="file in output_dir; column `filled` is 1 for new voxels"
    )

    @model_validator(mode="after")
    def _weights_for_a_network(self) -> FillConfig:
        if (self.weights is None) == (self.fill_with == "network"):
            raise ValueError(f"fill_with {self.fill_with}: weights are needed for network, and for nothing else")
        return self


class TilesConfig(Config):
    """Large images are predicted tile by tile, in bounded memory."""

    size: int = Field(512, ge=1, description="voxels of a tile along each axis")
    halo: int = Field(64, ge=0, description="voxels around a tile that the network sees too: at least its reach")


class PredictConfig(Config):
    """Section `predict`."""

    output: str = Field("predictions.h5", min_length=1, description="file in output_dir")
    checkpoint: str | None = Field(
        None,
        min_length=1,
        description="best, last (of this chain's training), the name of weights, or the path of a checkpoint, weights "
        "file or run; null: the best of the training, in a chain that does not train its `weights`",
    )
    ensemble: tuple[str, ...] = Field(
        (), description="weights, named as in `checkpoint`, of networks whose results are averaged; instead of it"
    )
    augmentation: SymmetryConfig | None = Field(
        None, description="average over mirrored or turned copies of each event"
    )
    average_heads: tuple[str, ...] | None = Field(
        None, description="heads that `ensemble` and `augmentation` average; null: all"
    )
    batch: BatchConfig | None = Field(None, description="null: as data.batch")
    part_events: int | None = Field(
        None, ge=1, description="events a part, which one rank predicts at a time; null: from their number, 64 to 2000"
    )
    tiles: TilesConfig | None = Field(None, description="null: whole images")
    precision: Precision = Field("32", description="32, or convolutions in bfloat16 or float16 (CUDA only)")

    @model_validator(mode="after")
    def _one_choice(self) -> PredictConfig:
        if self.ensemble and self.checkpoint is not None:
            raise ValueError(f"checkpoint ({self.checkpoint}) and ensemble exclude one another: name it in ensemble")
        if self.average_heads is not None and not self.ensemble and self.augmentation is None:
            raise ValueError("average_heads says what ensemble or augmentation average, but there is neither")
        return self


class EvaluateConfig(Config):
    """Section `evaluate`."""

    output: str = Field("metrics.json", min_length=1, description="file in output_dir")


_STEP_SECTIONS = ("simulate", "train", "tune", "inpaint", "predict", "evaluate", "report")


class ChainConfig(Config):
    """A whole chain; a step whose section is absent is left out."""

    run: RunConfig = RunConfig()
    simulate: SimulateConfig | None = None
    data: DataConfig = DataConfig()
    weights: str | None = Field(
        None,
        min_length=1,
        description="trained weights: a name of the package, or the path of a weights file, checkpoint or run; they "
        "predict, or a training begins with them. What the chain leaves out of `model` and `data.transforms` is theirs",
    )
    model: ModelConfig | None = Field(None, description="needed by every step but simulate, unless `weights` brings it")
    train: TrainConfig | None = None
    tune: TuneConfig | None = None
    inpaint: FillConfig | None = None
    predict: PredictConfig | None = None
    evaluate: EvaluateConfig | None = None
    report: ReportConfig | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps whose sections are there, in order."""
        return tuple(name for name in _STEP_SECTIONS if getattr(self, name) is not None)

    @property
    def simulation_seed(self) -> int:
        """Seed of the simulated events."""
        own = None if self.simulate is None else self.simulate.seed
        return self.run.seed if own is None else own

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, values: Any) -> Any:
        """A section with nothing after its colon is there, with all its defaults."""
        if not isinstance(values, dict):
            return values
        filled = {name: {} if name in _STEP_SECTIONS and value is None else value for name, value in values.items()}
        return fill_from_weights(filled)

    @model_serializer(mode="wrap")
    def _without_absent_sections(self, handler: Callable[[ChainConfig], dict[str, Any]]) -> dict[str, Any]:
        absent = {name for name in (*_STEP_SECTIONS, "weights", "model") if getattr(self, name) is None}
        if self.data == DataConfig():
            absent.add("data")
        return {name: value for name, value in handler(self).items() if name not in absent}

    @model_validator(mode="after")
    def _heads_fit_the_events(self) -> ChainConfig:
        sources = [self.data.train, self.data.validation, self.data.test]
        for source in filter(None, sources):
            for name, head in (self.model.heads if self.model else {}).items():
                head.check_source(name, source)
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> ChainConfig:
        learning = [name for name in _STEP_SECTIONS[1:] if getattr(self, name) is not None]
        if self.model is None and (learning or self.simulate is None):
            steps = f"the section {learning[0]}" if learning else "a chain without the section simulate"
            raise ValueError(f"{steps} needs the section model, or `weights: NAME`")
        if self.train is not None and self.data.train is None:
            raise ValueError("the section train needs data.train: which events to train on")
        heads = tuple(self.model.heads) if self.model else ()
        fresh = () if self.train is None else self.train.fresh_heads
        averaged = None if self.predict is None else self.predict.average_heads
        for key, names in (("train.fresh_heads", fresh), ("predict.average_heads", averaged or ())):
            if absent := [name for name in names if name not in heads]:
                raise ValueError(f"{key} names {', '.join(absent)}, but model.heads has {', '.join(heads)}")
        self._require_averages()
        if self.tune is not None and self.data.validation is None:
            raise ValueError("the section tune needs data.validation: which events to choose the settings on")
        if self.inpaint is not None and self.data.test is None:
            raise ValueError("the section inpaint needs data.test: which events to fill")
        if self.predict is not None and self.data.test is None:
            raise ValueError("the section predict needs data.test: which events to predict")
        return self

    def _require_averages(self) -> None:
        predict = self.predict
        if predict is None or self.model is None:
            return
        copies = predict.augmentation is not None and predict.augmentation.count != 1
        if not copies and len(predict.ensemble) < 2:
            return
        for name in self.model.heads if predict.average_heads is None else predict.average_heads:
            try:
                self.model.heads[name].require_average(name, max(len(predict.ensemble), 1))
            except UserError as error:
                raise ValueError(str(error)) from error
