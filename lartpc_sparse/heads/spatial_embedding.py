"""Particle instances by spatial embedding and seediness.

Koh et al., arXiv:2007.03083: every voxel is moved to e = x + tanh(o) near the centre of its particle, with a margin
sigma; seediness tells how close to the centre it landed. Normalised coordinates x = (index - S/2) / (S/2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Int32, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from lartpc_sparse.cluster import (
    ClusterThresholds,
    Leftover,
    decode_embedding,
    decode_in_groups,
    refine_clusters,
    split_unconnected,
)
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.class_groups import check_known, regroup_tensor
from lartpc_sparse.heads.instance_tuning import EmbeddingTuner
from lartpc_sparse.heads.instances import InstanceHead, InstanceHeadConfig
from lartpc_sparse.heads.losses import MaskLoss, embedding_loss_terms, find_instances
from lartpc_sparse.schema import Config
from lartpc_sparse.sparse import SparseTensor

__all__ = ["SpatialEmbeddingConfig", "SpatialEmbeddingHead", "normalised_coordinates"]


class LossWeights(Config):
    """Factors of the four terms."""

    mask: float = Field(1.0, ge=0)
    separation: float = Field(1.0, ge=0)
    smoothing: float = Field(1.0, ge=0)
    seediness: float = Field(1.0, ge=0)


_PUBLIC_THRESHOLDS = {  # of the public configurations
    "shower": ClusterThresholds(seed=0.80, probability=0.13),
    "track": ClusterThresholds(seed=0.90, probability=0.24),
    "Michel": ClusterThresholds(seed=0.55, probability=0.48),
    "delta": ClusterThresholds(seed=0.80, probability=0.48),
}


class SpatialEmbeddingConfig(InstanceHeadConfig):
    """Configuration of `SpatialEmbeddingHead`."""

    decoding: ClassVar[frozenset[str]] = InstanceHeadConfig.decoding | {
        "thresholds",
        "inside_components",
        "split_unconnected",
        "leftover",
    }

    kind: Literal["spatial_embedding"] = "spatial_embedding"
    mask_loss: MaskLoss = "lovasz"
    focal_gamma: float = Field(2.0, ge=0, description="exponent of the focal mask loss")
    separation_delta: float = Field(0.2, gt=0, description="centroids closer than twice this repel each other")
    initial_margin: float = Field(0.1, gt=0, lt=2, description="margin before training, in half image sides")
    loss_weights: LossWeights = LossWeights()
    thresholds: dict[str, ClusterThresholds] = Field(
        _PUBLIC_THRESHOLDS, description="where the decoding stops, for every class"
    )
    inside_components: tuple[str, ...] = Field(
        (), description="classes that are decoded inside each connected component of their voxels"
    )
    split_unconnected: bool = Field(
        False, description="cut clusters into their connected parts (26 neighbours in 3D, 8 in 2D) after the decoding"
    )
    leftover: Leftover = Field(
        "nearest", description="voxels that no seed claims: to the cluster of highest probability, or none (-1)"
    )

    @model_validator(mode="after")
    def _complete(self) -> SpatialEmbeddingConfig:
        self.require_entries("thresholds", self.thresholds)
        check_known("inside_components", self.inside_components, self.classes)
        return self

    @property
    def streams(self) -> tuple[str, ...]:
        """Two decoders: one for embedding and margin, one for seediness."""
        return ("embedding", "seediness")

    @property
    def uses_coordinates(self) -> bool:
        """Positions are input features (arXiv:2007.03083)."""
        return True

    def components(self, name: str, coords: np.ndarray) -> np.ndarray | None:
        """Connected components of the voxels of one event and class, where the class is decoded inside them."""
        if name not in self.inside_components:
            return None
        return split_unconnected(coords, np.zeros(len(coords), dtype=np.int64))

    def cluster_class(
        self,
        name: str,
        thresholds: ClusterThresholds,
        arrays: Mapping[str, np.ndarray],
        components: np.ndarray | None,
    ) -> np.ndarray:
        """Clusters of the voxels of one event and class.

        Args:
            name: of the class.
            thresholds: of the class.
            arrays: `coords`, `embedding`, `margin` and `seediness` of the voxels.
            components: from `components`.
        """
        values = arrays["embedding"], arrays["margin"], arrays["seediness"]
        if components is None:
            found = decode_embedding(
                *values,
                seed_threshold=thresholds.seed,
                probability_threshold=thresholds.probability,
                leftover=self.leftover,
                min_voxels=thresholds.min_voxels,
            )
        else:
            found = decode_in_groups(components, *values, thresholds=thresholds, leftover=self.leftover)
        if self.split_unconnected:
            found = split_unconnected(arrays["coords"], found)
        return refine_clusters(arrays["coords"], found, self.refine.get(name, ()))

    def build(self, *, in_channels: int, dim: int) -> SpatialEmbeddingHead:
        """See `HeadConfig.build`."""
        return SpatialEmbeddingHead(self, in_channels, dim)


def normalised_coordinates(batch: Batch) -> Tensor:
    """Positions x = (index - S/2) / (S_max/2), S the sides of the image and S_max the longest: (N, D), in [-1, 1).

    One scale for all axes keeps distances isotropic in images that are not cubes, such as wire planes.
    """
    size = torch.tensor(batch.image_size, dtype=torch.float32, device=batch.coords.device)
    return (batch.coords - size / 2) / (size.max() / 2)


class SpatialEmbeddingHead(InstanceHead):
    """Linear layers to offset, margin and seediness."""

    def __init__(self, config: SpatialEmbeddingConfig, in_channels: int, dim: int) -> None:
        super().__init__()
        self.config: SpatialEmbeddingConfig = config
        self.dim = dim
        self.embed = nn.Linear(in_channels, dim + 1)
        self.seed = nn.Linear(in_channels, 1)
        # Begin as clustering by distance: no offset, and a margin of the size of a particle instead of the image.
        nn.init.normal_(self.embed.weight, std=0.01)
        nn.init.zeros_(self.embed.bias)
        with torch.no_grad():
            self.embed.bias[dim] = math.log(config.initial_margin / (2.0 - config.initial_margin))

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`embedding` (N, D), `margin` (N,) in (0, 2), `seediness` (N,) in (0, 1)."""
        raw = self.embed(features["embedding"].feats).float()
        return {
            "embedding": normalised_coordinates(batch) + torch.tanh(raw[:, : self.dim]),
            "margin": 2.0 * torch.sigmoid(raw[:, self.dim]),
            "seediness": torch.sigmoid(self.seed(features["seediness"].feats).float()[:, 0]),
        }

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The four terms of `embedding_loss_terms`, each with its weight."""
        semantic = regroup_tensor(batch.label("semantic"), batch.classes, self.config.classes)
        instances = find_instances(batch.label("instance"), semantic, batch.batch_index())
        terms = embedding_loss_terms(
            output["embedding"][instances.voxels],
            output["margin"][instances.voxels],
            output["seediness"][instances.voxels],
            instances,
            mask_loss=self.config.mask_loss,
            delta=self.config.separation_delta,
            focal_gamma=self.config.focal_gamma,
        )
        return {name: term * getattr(self.config.loss_weights, name) for name, term in terms.items()}

    def clusters(
        self, output: Mapping[str, Tensor], batch: Batch, classes: Int64[np.ndarray, " N"]
    ) -> Int32[np.ndarray, " N"]:
        """See `InstanceHead.clusters`; numbered class by class."""
        arrays = {name: output[name].cpu().numpy() for name in ("embedding", "margin", "seediness")}
        arrays["coords"] = batch.coords.cpu().numpy()
        events = itertools.pairwise(batch.offsets.tolist())
        return np.concatenate([self._decode_event(arrays, classes, slice(*rows)) for rows in events])

    def _decode_event(self, arrays: Mapping[str, np.ndarray], classes: np.ndarray, rows: slice) -> np.ndarray:
        clusters = np.full(rows.stop - rows.start, -1, dtype=np.int32)
        first_id = 0
        for number, name in enumerate(self.config.classes):
            chosen = np.flatnonzero(classes[rows] == number)
            if not len(chosen):
                continue
            own = {column: values[rows][chosen] for column, values in arrays.items()}
            components = self.config.components(name, own["coords"])
            found = self.config.cluster_class(name, self.config.thresholds[name], own, components)
            clusters[chosen] = np.where(found >= 0, found + first_id, -1)
            first_id += int(found.max()) + 1
        return clusters

    def tuner(self) -> EmbeddingTuner:
        """See `Head.tuner`."""
        return EmbeddingTuner(self.config)
