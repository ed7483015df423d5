"""Particle instances by a graph of near voxels with learned edge scores.

Every voxel gets features; two voxels of one class that lie within reach of one another are an edge, whose score that
both belong to one particle comes from the features and positions of its ends. Clusters are found by average linkage
(`cluster.agglomerate`). The idea of scored edges on a voxel graph is that of Graph-SPICE (Koh et al., the follow-up of
arXiv:2007.03083); here the features serve the edges alone, and a mean over the edges between two clusters decides.

Two tracks that meet are hard to tell apart where they meet and easy to tell apart farther away, so some edges are long
(`far`: thin shells around a voxel, after the sparse long-range edges of the Mutex Watershed, arXiv:1904.12654). Before
the features of two ends are compared, the way between them is added to their difference: two voxels that foresee one
place, the middle of their particle or its end, as in arXiv:2007.03083, then differ by nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int32, Int64
from pydantic import Field, model_validator
from torch import Tensor, nn

from lartpc_sparse.cluster import FARTHEST, agglomerate, near_pairs, numbered_by_first, refine_clusters
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.base import Averages
from lartpc_sparse.heads.class_groups import regroup_tensor
from lartpc_sparse.heads.edge_scores import SCALE, EdgeLayers, compiled_scores
from lartpc_sparse.heads.instance_tuning import VoxelGraphTuner
from lartpc_sparse.heads.instances import InstanceHead, InstanceHeadConfig
from lartpc_sparse.schema import Config
from lartpc_sparse.sparse import SparseTensor
from lartpc_sparse.sparse.native.library import missing_reason

__all__ = ["LinkageConfig", "VoxelGraphConfig", "VoxelGraphHead"]


Edges = tuple[int, bool]
"""Those of a class: reach of the near ones, voxels, and whether there are far ones."""


class LinkageConfig(Config):
    """When the clusters of one class are joined."""

    reach: int = Field(ge=1, description="longest difference along an axis of the near edges that are used, voxels")
    far: bool = Field(False, description="use the far edges, too")
    threshold: float = Field(ge=0, le=1, description="least mean score of the edges between two clusters, 0..1")
    certain: float = Field(
        0.97, ge=0, description="edges of at least this score are joined beforehand, which takes far less time; 0..1"
    )


_LINKAGE = {
    "shower": LinkageConfig(reach=1, threshold=0.5),
    "track": LinkageConfig(reach=3, threshold=0.5),
    "Michel": LinkageConfig(reach=3, threshold=0.5),
    "delta": LinkageConfig(reach=3, threshold=0.5),
}


class VoxelGraphConfig(InstanceHeadConfig):
    """Configuration of `VoxelGraphHead`."""

    averages: ClassVar[Averages] = "copies"
    decoding: ClassVar[frozenset[str]] = InstanceHeadConfig.decoding | {"linkage"}

    kind: Literal["voxel_graph"] = "voxel_graph"
    features: int = Field(16, ge=1, description="features of a voxel that its edges are scored with")
    hidden: int = Field(32, ge=1, description="width of the layer that scores an edge")
    different_weight: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the edges between particles in the loss of a class; those within: the rest",
    )
    max_edges: int = Field(
        32768,
        ge=1,
        description="of a class, near or far, within or between particles, in the loss of a batch; others are left out",
    )
    reach: int = Field(3, ge=1, description="longest difference along an axis of the edges that are learned, voxels")
    far: tuple[int, ...] = Field(
        (5, 9, 14), description="further such differences of edges that are learned, each above reach, voxels"
    )
    linkage: dict[str, LinkageConfig] = Field(_LINKAGE, description="how every class is clustered")

    @model_validator(mode="after")
    def _complete(self) -> VoxelGraphConfig:
        self.require_entries("linkage", self.linkage)
        beyond = [f"{name} {own.reach}" for name, own in self.linkage.items() if own.reach > self.reach]
        if beyond:
            raise ValueError(
                f"linkage reaches farther ({', '.join(beyond)}) than the edges that are learned, {self.reach}"
            )
        if any(not self.reach < distance < FARTHEST for distance in self.far):
            raise ValueError(f"far: distances lie above the reach of {self.reach} and below {FARTHEST}")
        users = [name for name, own in self.linkage.items() if own.far]
        if users and not self.far:
            raise ValueError(f"linkage of {', '.join(users)} uses far edges, but none are learned (far: [])")
        return self

    @property
    def streams(self) -> tuple[str, ...]:
        """One decoder."""
        return ("graph",)

    def build(self, *, in_channels: int, dim: int) -> VoxelGraphHead:
        """See `HeadConfig.build`."""
        return VoxelGraphHead(self, in_channels, dim)


def every_so_many(kind: Int64[Tensor, " E"], most: int) -> Int64[Tensor, " M"]:
    """Rows of at most `most` of each kind, evenly spread over all of it."""
    order = torch.argsort(kind, stable=True)
    count = torch.bincount(kind)
    place = torch.arange(len(kind), device=kind.device) - (count.cumsum(0) - count).repeat_interleave(count)
    step = (-(-count // most)).repeat_interleave(count)
    return order[place % step == 0]


class VoxelGraphHead(InstanceHead):
    """A linear layer to the features of the voxels, and two layers that score an edge."""

    def __init__(self, config: VoxelGraphConfig, in_channels: int, dim: int) -> None:
        super().__init__()
        self.config: VoxelGraphConfig = config
        self.describe = nn.Linear(in_channels, config.features)
        self.place = nn.Linear(dim, config.features, bias=False)
        self.compare = nn.Linear(2 * config.features + dim, config.hidden)
        self.score = nn.Linear(config.hidden, 1)

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`features` (N, F) of the voxels, and their `coords` (N, D), in which those see the way between two ends."""
        return {"features": self.describe(features["graph"].feats).float(), "coords": batch.coords.float()}

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Those of K copies side by side, (N, K F) and (N, K D): an edge then has the mean of its scores in each."""
        if len(outputs) == 1:
            return outputs[0]
        return {name: torch.cat([output[name] for output in outputs], dim=1) for name in ("features", "coords")}

    def logits(
        self, features: Float[Tensor, "N F"], coords: Int64[Tensor, "N D"], pairs: Int64[Tensor, "E 2"]
    ) -> Float[Tensor, " E"]:
        """Score of each edge before the sigmoid; symmetric in its ends.

        Args:
            features: of the voxels.
            coords: voxel index.
            pairs: rows of the two ends of each edge.
        """
        one, other = features.index_select(0, pairs[:, 0]), features.index_select(0, pairs[:, 1])
        way = (coords[pairs[:, 0]] - coords[pairs[:, 1]]).to(features.dtype) / SCALE
        edge = torch.cat([one + other, (one - other + self.place(way)).abs(), way.abs()], dim=1)
        scores: Tensor = self.score(F.relu(self.compare(edge)))
        return scores[:, 0]

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """`edges`: binary cross-entropy, balanced between edges within and between particles, averaged over classes.

        Near and far edges of a class are averaged each by themselves.
        """
        semantic = regroup_tensor(batch.label("semantic"), batch.classes, self.config.classes)
        instance = batch.label("instance")
        semantic = torch.where(instance >= 0, semantic, -1)
        pairs = self._pairs(batch, semantic.cpu().numpy(), [self._all_edges] * len(self.config.classes))
        pairs = pairs.to(instance.device)
        one, other = pairs[:, 0], pairs[:, 1]
        distant = (batch.coords.index_select(0, one) - batch.coords.index_select(0, other)).abs().amax(1)
        same = instance.index_select(0, one) == instance.index_select(0, other)
        kind = 4 * semantic.index_select(0, one) + 2 * (distant > self.config.reach) + same
        chosen = every_so_many(kind, self.config.max_edges)
        pairs, same, kind = pairs.index_select(0, chosen), same[chosen], kind[chosen]
        logits = self.logits(output["features"], batch.coords.long(), pairs)
        each = F.binary_cross_entropy_with_logits(logits, same.to(logits.dtype), reduction="none")
        count = torch.bincount(kind, minlength=4 * len(self.config.classes)).to(logits.dtype)
        mean = each.new_zeros(len(count)).index_add(0, kind, each) / count.clamp(min=1)
        share = torch.tensor([self.config.different_weight, 1.0 - self.config.different_weight], device=mean.device)
        present = (count.reshape(-1, 2) > 0).any(1)
        loss = (mean.reshape(-1, 2) * share).sum() / present.sum().clamp(min=1)
        return {"edges": loss + 0.0 * output["features"].sum()}

    @property
    def _all_edges(self) -> Edges:
        """Those that are learned."""
        return self.config.reach, bool(self.config.far)

    def _pairs(self, batch: Batch, semantic: np.ndarray, edges: Sequence[Edges]) -> Int64[Tensor, "E 2"]:
        """The edges of a batch, as each class has them; ends of one event and class."""
        coords = batch.coords.cpu().numpy()
        event = batch.batch_index().cpu().numpy()
        found = [np.empty((0, 2), dtype=np.int64)]
        for reach, far in sorted(set(edges)):
            chosen = np.isin(semantic, [number for number, own in enumerate(edges) if own == (reach, far)])
            label = np.where(chosen, event * len(edges) + semantic, -1)
            beyond = [distance for distance in self.config.far if far and distance > reach]
            found.append(near_pairs(coords, label, reach, beyond))
        return torch.from_numpy(np.concatenate(found))

    @torch.no_grad()
    def scored_edges(
        self, output: Mapping[str, Tensor], batch: Batch, classes: np.ndarray, edges: Sequence[Edges] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Edges (E, 2) between the voxels of one event and class, and their scores (E,), 0..1.

        Args:
            output: of the head; without `coords` features see the voxels where they are.
            batch: its voxels.
            classes: number of the head's class of each voxel, -1 for none.
            edges: of each class: reach, and whether with far ones; all that are learned when left out.
        """
        pairs = self._pairs(batch, classes, edges or [self._all_edges] * len(self.config.classes))
        copies = zip(
            torch.split(output["features"], self.config.features, dim=1),
            torch.split(output.get("coords", batch.coords), batch.coords.shape[1], dim=1),
            strict=True,
        )
        scores = [self._scores(features, coords.int(), pairs) for features, coords in copies]
        return pairs.numpy(), scores[0] if len(scores) == 1 else np.mean(scores, axis=0)

    def _scores(
        self, features: Float[Tensor, "N F"], coords: Int32[Tensor, "N D"], pairs: Int64[Tensor, "E 2"]
    ) -> Float32[np.ndarray, " E"]:
        if missing_reason() is None:
            layers = EdgeLayers(self.place, self.compare, self.score)
            return compiled_scores(layers, features, coords, pairs.numpy())
        scores = torch.sigmoid(self.logits(features, coords.long(), pairs.to(coords.device)))
        return scores.cpu().numpy().astype(np.float32)

    def clusters(
        self, output: Mapping[str, Tensor], batch: Batch, classes: Int64[np.ndarray, " N"]
    ) -> Int32[np.ndarray, " N"]:
        """See `InstanceHead.clusters`; numbered in the order of their first voxels."""
        edges = [(self.config.linkage[name].reach, self.config.linkage[name].far) for name in self.config.classes]
        pairs, scores = self.scored_edges(output, batch, classes, edges)
        cluster = np.full(len(classes), -1, dtype=np.int64)
        of_pair = classes[pairs[:, 0]] if len(pairs) else np.empty(0, dtype=np.int64)
        for number, name in enumerate(self.config.classes):
            rows = np.flatnonzero(classes == number)
            place = np.full(len(classes), -1, dtype=np.int64)
            place[rows] = np.arange(len(rows))
            own = of_pair == number
            linkage = self.config.linkage[name]
            found = agglomerate(
                place[pairs[own]], scores[own], len(rows), threshold=linkage.threshold, certain=linkage.certain
            )
            cluster[rows] = found * len(self.config.classes) + number
        coords = batch.coords.cpu().numpy() if self.config.refine else np.empty((0, 0), dtype=np.int32)
        for start, stop in itertools.pairwise(batch.offsets.tolist()):
            for number, name in enumerate(self.config.classes):
                refinements = self.config.refine.get(name, ())
                if refinements:
                    rows = start + np.flatnonzero(classes[start:stop] == number)
                    found = refine_clusters(coords[rows], cluster[rows], refinements)
                    cluster[rows] = found * len(self.config.classes) + number
            cluster[start:stop] = numbered_by_first(cluster[start:stop])
        return cluster.astype(np.int32)

    def tuner(self) -> VoxelGraphTuner:
        """See `Head.tuner`."""
        return VoxelGraphTuner(self)
