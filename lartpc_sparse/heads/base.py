"""SEAM 3: what a head must offer. One file a task: configuration, module, loss, decoding, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Int64, Shaped
from pydantic import Field
from torch import Tensor, nn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.heads.tuning import Tuner
from lartpc_sparse.schema import PartConfig, UserError
from lartpc_sparse.sparse import SparseTensor

__all__ = ["DECODE_TABLE", "NETWORK_TABLE", "Averages", "Decoded", "Evaluator", "Head", "HeadConfig", "SemanticLabels"]


DECODE_TABLE = "decode:seconds"
"""Table of a prediction with the time of its decoding, a column a head; no head can have this name."""
NETWORK_TABLE = "network:seconds"
"""Table of a prediction with the time of the network and of all decoding, for heads that report it; no head's name."""


@dataclass(frozen=True)
class SemanticLabels:
    """Class of every voxel of a batch, by name.

    Attributes:
        labels: index into `classes`, -1 where there is none.
        classes: names.
    """

    labels: Int64[np.ndarray, " N"]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Decoded:
    """What a head says of a batch.

    Attributes:
        columns: per-voxel results, in batch order.
        tables: results with rows of their own, one mapping of columns an event; empty when the head has none.
        semantic: set by a head that classifies voxels; other heads decode with it.
        seconds: that the decoding of the batch took.
    """

    columns: Mapping[str, Shaped[np.ndarray, "N ..."]] = field(default_factory=dict)
    tables: Sequence[Mapping[str, Shaped[np.ndarray, "_ ..."]]] = ()
    semantic: SemanticLabels | None = None
    seconds: float = 0.0


class Evaluator(ABC):
    """Collects the metrics of one head, event by event, from the predictions file."""

    @abstractmethod
    def update(self, prediction: Prediction) -> None:
        """Take one event into account."""

    def use_semantics(self, name: str, classes: tuple[str, ...]) -> None:
        """Told before the first event which head of the network classifies voxels, and into what; ignored by default.

        Args:
            name: of that head.
            classes: names of the values of its column `label`.
        """
        del name, classes

    def use_events(self, reader: object) -> None:
        """Told before the first event which reader the predicted events come from; ignored by default."""
        del reader

    @abstractmethod
    def result(self) -> dict[str, Any]:
        """The metrics as JSON-ready values; undefined ones are None."""


class Head(nn.Module, ABC):
    """Turns the features of its streams into predictions for one task."""

    @abstractmethod
    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """Raw outputs by name, from the features of the head's streams."""

    @abstractmethod
    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the loss by name; their sum is what is minimised.

        A batch without anything to learn from gives zeros that are still attached to the graph.
        """

    def monitor(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Quantities of a validation batch to watch besides the loss, averaged over events; none by default."""
        del output, batch
        return {}

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """One raw output for several of the same voxels: of symmetric copies of the events, or of several networks.

        A head whose outputs mean the same in all of them overrides this, and its configuration says so
        (`HeadConfig.averages`); a single output is returned as it is.
        """
        if len(outputs) > 1:
            raise NotImplementedError(f"{type(self).__name__} has no average of its outputs")
        return outputs[0]

    @abstractmethod
    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """Predictions for a batch; `semantic` is what a semantic head of the same network has decoded."""

    def tuner(self) -> Tuner | None:
        """Chooses settings of the decoding on labelled events; None: there is nothing to choose."""
        return None


Averages = Literal["nothing", "copies", "networks"]
"""What the outputs of a head are averaged over: nothing, copies of an event, several networks, too."""


class HeadConfig(PartConfig, ABC):
    """Base of the configurations in `model.heads`."""

    decoding: ClassVar[frozenset[str]] = frozenset()
    """Options of the steps after training alone, so that its weights and its validation do not depend on them."""
    averages: ClassVar[Averages] = "nothing"
    """What `Head.average` takes."""

    weight: float = Field(1.0, ge=0, description="factor on this head's loss in the sum over heads")

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the backbone streams that the head reads."""
        return ("features",)

    @property
    def uses_coordinates(self) -> bool:
        """Whether the network must be given the normalised coordinates of the voxels."""
        return False

    @property
    def decodes_semantics(self) -> bool:
        """Whether the head says the class of every voxel; it is decoded before the heads that build on it."""
        return False

    @property
    def reports_network_time(self) -> bool:
        """Whether the predictions are to hold the time of the network."""
        return False

    def check_source(self, name: str, source: ReaderConfig) -> None:
        """Refuse events that the head cannot work on, before any is read.

        Args:
            name: of the head.
            source: where the events come from.

        Raises:
            ValueError: they do not fit; says which key to change.
        """

    def require_average(self, name: str, networks: int) -> None:
        """Refuse an average that the head does not have.

        Args:
            name: of the head.
            networks: how many are averaged over.

        Raises:
            UserError: says which key to change.
        """
        cure = (
            "name the other heads in predict.average_heads, this one is then predicted by the first network from the "
            "event as it is"
        )
        if self.averages == "nothing":
            raise UserError(f"the outputs of head {name} cannot be averaged over copies or networks; {cure}")
        if self.averages == "copies" and networks > 1:
            raise UserError(
                f"what head {name} says is read by its own network alone, so that copies of an event can be averaged "
                f"and networks cannot; {cure}"
            )

    def targets(self) -> Transform | None:
        """A transform that adds the label columns which the loss needs."""
        return None

    def view(self) -> Transform | None:
        """A transform that changes the image for this head (masked regions); None: the head sees it as it is."""
        return None

    def inference_view(self) -> Transform | None:
        """The view in the steps tune and predict; as in training unless a head says otherwise."""
        return self.view()

    @property
    def hints(self) -> tuple[str, ...]:
        """Float label columns of the view that the network reads as input features; 0 where a batch lacks them."""
        return ()

    @property
    def view_fraction(self) -> float:
        """Share of the training events that get the view when other heads train on the same events."""
        return 1.0

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """Refuse a model that lacks a head which this one builds on; `kinds` are all heads' kinds by name.

        Raises:
            ValueError: it is not there.
        """
        del kinds

    def finish(self, name: str, prediction: Prediction) -> Prediction:
        """The prediction of one event, all heads decoded, with what follows from it; as it is by default."""
        del name
        return prediction

    @abstractmethod
    def build(self, *, in_channels: int, dim: int) -> Head:
        """The head for features of `in_channels` channels in `dim` axes."""

    @abstractmethod
    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> Evaluator:
        """Metrics of the head called `name`; `truth_classes` names the values of the semantic truth."""
