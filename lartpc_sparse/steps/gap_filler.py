"""What fills the gaps of events: the inpainting head of trained weights, or a way without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from pydantic import TypeAdapter

from lartpc_sparse.cluster.gaps import DenseConfig, Fill, own_ends_fill, reflection_fill
from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.pipeline import TransformField
from lartpc_sparse.data.regions import RegionConfig, box_of_voxel
from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.gap_view import MaskRegionsConfig
from lartpc_sparse.network import Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import Engine
from lartpc_sparse.weights import Description, describe_as_used, load_weights

__all__ = ["Filled", "Filler", "NetworkFiller", "plain_filler"]

Boxes = Int64[np.ndarray, "R 2 D"]
Filled = tuple[Boxes, Fill]
Filler = Callable[[Sequence[Event], Sequence[np.random.Generator]], list[Filled]]
"""Gaps and what goes into them, for events as their reader gives them, each with a random generator."""


def plain_filler(name: str, regions: Sequence[RegionConfig]) -> Filler:
    """Straight lines (`line`), mirrored voxels (`reflection`), or `nothing`."""
    ways = {"line": own_ends_fill, "reflection": reflection_fill}

    def fill(events: Sequence[Event], rngs: Sequence[np.random.Generator]) -> list[Filled]:
        found = []
        for event, rng in zip(events, rngs, strict=True):
            boxes = drawn_boxes(event, regions, rng)
            outside = box_of_voxel(event.coords, boxes) < 0
            nothing = Fill.nothing(event.dim)
            way = ways.get(name)
            own = event.coords[outside], event.energy[outside], boxes, event.image_size
            found.append((boxes, nothing if way is None else way(*own)))
        return found

    return fill


def drawn_boxes(event: Event, regions: Sequence[RegionConfig], rng: np.random.Generator) -> Boxes:
    """The gaps of an event."""
    return np.concatenate([region.boxes(event.coords, event.image_size, rng) for region in regions])


class NetworkFiller:
    """Fills gaps with the inpainting head of trained weights; a `Filler`.

    Candidates, their initial value and the transforms of the events are those of the weights, the regions are given.

    Args:
        path: of the weights.
        regions: what is missing.
        engine: of the sparse convolutions.
        device: cpu or cuda.

    Raises:
        UserError: weights that cannot be read, or without an inpainting head.
    """

    def __init__(self, path: Path, regions: Sequence[RegionConfig], engine: Engine, device: str) -> None:
        described = describe_as_used(path)
        model = described.model_config()
        name = model.masking_head
        head = None if name is None else model.heads[name]
        if name is None or not isinstance(head, InpaintConfig):
            raise UserError(
                f"inpaint.weights: {described.name} have no inpainting head, only {', '.join(model.heads)}; "
                "train some (configs/lardrip3d_small.yaml) and name their run"
            )
        self._name = name
        self._device = device
        self._transforms = _transforms(described)
        self._regions = tuple(regions)
        self._view = _view(head, regions).build()
        self._network = Network(model, engine)
        load_weights(self._network, path)
        self._network.to(device).eval()

    @torch.inference_mode()
    def __call__(self, events: Sequence[Event], rngs: Sequence[np.random.Generator]) -> list[Filled]:
        """See `Filler`."""
        drawn = [drawn_boxes(event, self._regions, rng) for event, rng in zip(events, rngs, strict=True)]
        masked = []
        for event, boxes, rng in zip(events, drawn, rngs, strict=True):
            plain = event
            for transform in self._transforms:
                plain = transform(plain, rng)
            masked.append(self._view.masked(plain, _moved(boxes, plain.frame), rng))
        batch = collate(masked).to(self._device)
        head = self._network.head(self._name)
        tables = head.decode(self._network(batch, (self._name,))[self._name], batch, None).tables
        found = []
        for event, boxes, table in zip(masked, drawn, tables, strict=True):
            chosen = table["fill"] > 0
            places = event.frame.inverse().voxels(table["coords"][chosen])
            found.append((boxes, Fill(places, table["fill"][chosen])))
        return found


def _moved(boxes: Boxes, frame: Frame) -> Boxes:
    """Boxes of the file's image in a transformed one."""
    ends = [frame.voxels(corner.astype(np.int32)) for corner in (boxes[:, 0], boxes[:, 1] - 1)]
    return np.stack([np.minimum(*ends), np.maximum(*ends) + 1], axis=1).astype(np.int64)


def _transforms(described: Description) -> list[Callable[[Event, np.random.Generator], Event]]:
    configs = TypeAdapter(tuple[TransformField, ...]).validate_python(described.transforms)
    return [config.build() for config in configs]


def _view(head: InpaintConfig, regions: Sequence[RegionConfig]) -> MaskRegionsConfig:
    trained = head.inference_region or head.region
    if isinstance(trained, MaskRegionsConfig):
        return trained.model_copy(update={"regions": tuple(regions)})
    return MaskRegionsConfig(
        regions=tuple(regions), candidates=DenseConfig(), seed_value=getattr(trained, "seed_value", 0.0)
    )
