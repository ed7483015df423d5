"""The view of the inpainting head: regions emptied, candidates in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from pydantic import Field, FiniteFloat, PositiveInt

from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.gaps import CandidatesConfig, DenseConfig, GrownConfig
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.regions import RegionConfig, RegionField, SlabsConfig, box_of_voxel
from lartpc_sparse.data.transforms import TransformConfig, add_empty_mask, mask_event
from lartpc_sparse.data.transforms.base import require_finite_energy, require_unmasked
from lartpc_sparse.schema import OneOf

__all__ = ["HINTS", "InitialValue", "MaskRegions", "MaskRegionsConfig"]

HINTS = ("hint_likelihood", "hint_energy")
"""Label columns of the hints; 0 for voxels that are no candidates."""
_HIGHEST_HINT = 20.0
"""Of the energy, in units of `hint_mev`: a stopping proton has some 10 MeV a voxel of 3 mm, and a line that meets a
shower's core may say far more than any candidate holds."""

InitialValue = FiniteFloat | Literal["random", "likelihood"]


class MaskRegionsConfig(TransformConfig):
    """Regions of the detector are emptied, and candidates offered in them."""

    kind: Literal["mask_regions"] = "mask_regions"
    regions: tuple[RegionField, ...] = Field(
        (SlabsConfig(),), min_length=1, description="what is missing; a voxel in two regions belongs to the first"
    )
    candidates: Annotated[CandidatesConfig, OneOf(DenseConfig, GrownConfig)] = GrownConfig()
    seed_value: InitialValue = Field(
        0.0,
        description="every input feature of a candidate: a number, random for uniform in [-1, 1], or likelihood: how "
        "likely it is by geometry (grown candidates), 0..1",
    )
    context: PositiveInt | None = Field(
        None, description="voxels farther than this from every region, along an axis, are left out; null: none"
    )

    hints: bool = Field(
        False,
        description="two more input features tell a candidate's likelihood by geometry and the energy of a straight "
        "line there (grown candidates); `seed_value` then only says what stands in place of its own features",
    )
    hint_mev: float = Field(1.0, gt=0, description="unit of that energy, MeV (or what the image is in) a voxel edge")

    def build(self) -> MaskRegions:
        """The transform."""
        return MaskRegions(self.regions, self.candidates, self.seed_value, self.context, self.hints, self.hint_mev)


@dataclass(frozen=True)
class MaskRegions:
    """Empties regions; see `mask_event` for the result.

    An event with nothing in its regions keeps its voxels, with the label columns. Must stand behind the transforms
    that read or change energies.

    Attributes:
        regions: what is missing.
        candidates: which places are offered.
        seed_value: input features of the candidates.
        context: see `MaskRegionsConfig`.
        hints: see `MaskRegionsConfig`.
        hint_mev: see `MaskRegionsConfig`.
    """

    regions: tuple[RegionConfig, ...]
    candidates: CandidatesConfig
    seed_value: float | Literal["random", "likelihood"] = 0.0
    context: int | None = None
    hints: bool = False
    hint_mev: float = 1.0

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The masked event.

        Raises:
            UserError: the event is masked already, a region does not fit the image, or there are too many candidates.
            BadEventError: an energy is not finite.
        """
        parts = [region.boxes(event.coords, event.image_size, rng) for region in self.regions]
        return self.masked(event, np.concatenate(parts), rng)

    def masked(self, event: Event, boxes: Int64[np.ndarray, "R 2 D"], rng: np.random.Generator) -> Event:
        """The event with given gaps.

        Raises:
            UserError: the event is masked already, or there are too many candidates.
            BadEventError: an energy is not finite.
        """
        require_unmasked(event, "mask_regions")
        require_finite_energy(event)
        if not len(boxes):
            return add_empty_mask(event, HINTS if self.hints else ())
        outside = box_of_voxel(event.coords, boxes) < 0
        given = self.candidates.positions(event.coords[outside], event.energy[outside], boxes, event.image_size)
        features = self._features(given.likelihood, event.feats.shape[1], rng)
        masked = mask_event(event, boxes, given.coords, features, self._crossings(given.coords, boxes))
        if self.hints:
            known = np.zeros(len(masked) - len(features), dtype=np.float32)
            hints = (given.likelihood, np.minimum(given.rate / self.hint_mev, _HIGHEST_HINT))
            masked = masked.with_labels(
                **{name: np.concatenate([known, hint]) for name, hint in zip(HINTS, hints, strict=True)}
            )
        return masked if self.context is None else masked.select(self._near(masked, boxes))

    def _crossings(
        self, places: Int32[np.ndarray, "G D"], boxes: Int64[np.ndarray, "R 2 D"]
    ) -> Int64[np.ndarray, " G"]:
        """Candidates of a gap that touch one another are one crossing; a dense grid is one as a whole."""
        gap = box_of_voxel(places, boxes)
        return gap if self.candidates.kind == "dense" else connected_components(places, gap)

    def _features(
        self, likelihood: Float32[np.ndarray, " G"], channels: int, rng: np.random.Generator
    ) -> Float32[np.ndarray, "G C"]:
        shape = (len(likelihood), channels)
        if self.seed_value == "random":
            return rng.uniform(-1.0, 1.0, size=shape).astype(np.float32)
        if self.seed_value == "likelihood":
            return np.repeat(likelihood[:, None], channels, axis=1)
        return np.full(shape, self.seed_value, dtype=np.float32)

    def _near(self, event: Event, boxes: Int64[np.ndarray, "R 2 D"]) -> Bool[np.ndarray, " N"]:
        assert self.context is not None
        widened = boxes + np.array([-self.context, self.context])[None, :, None]
        return np.asarray(event.labels["candidate"] | (box_of_voxel(event.coords, widened) >= 0))
