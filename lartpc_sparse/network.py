"""A network: one backbone and named heads."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from lartpc_sparse.backbone import BackboneConfig, UResNetConfig
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads import (
    Decoded,
    HeadConfig,
    InpaintConfig,
    SemanticConfig,
    SemanticLabels,
    SignalConfig,
    SpatialEmbeddingConfig,
    VoxelGraphConfig,
    normalised_coordinates,
)
from lartpc_sparse.heads.base import Head
from lartpc_sparse.schema import Config, OneOf
from lartpc_sparse.sparse import Engine, SparseTensor, TorchEngine

__all__ = ["HeadField", "ModelConfig", "Network"]

HeadField = Annotated[
    HeadConfig, OneOf(SemanticConfig, SpatialEmbeddingConfig, VoxelGraphConfig, InpaintConfig, SignalConfig)
]


class ModelConfig(Config):
    """Configuration of `Network`."""

    dim: Literal[2, 3] = Field(3, description="axes of the image")
    features: int = Field(1, ge=1, description="input features of a voxel")
    backbone: Annotated[BackboneConfig, OneOf(UResNetConfig)] = UResNetConfig()
    heads: dict[str, HeadField] = Field(min_length=1, description="heads by name")

    @field_validator("heads")
    @classmethod
    def _names(cls, heads: dict[str, HeadConfig]) -> dict[str, HeadConfig]:
        for name in heads:
            if not name.isidentifier():
                raise ValueError(f"head name {name!r} must be letters, digits and underscores")
        masked = [name for name, head in heads.items() if head.view() is not None]
        if len(masked) > 1:
            raise ValueError(f"only one head may change the image, but {' and '.join(masked)} do")
        semantic = [name for name, head in heads.items() if head.decodes_semantics]
        if len(semantic) > 1:
            raise ValueError(f"only one head may classify voxels, but {' and '.join(semantic)} do")
        for head in heads.values():
            head.check_heads({name: other.kind for name, other in heads.items()})
        return heads

    @property
    def masking_head(self) -> str | None:
        """Name of the head that changes the image (inpainting), if any."""
        return next((name for name, head in self.heads.items() if head.view() is not None), None)


class Network(nn.Module):
    """Backbone and heads; every head reads streams of its own named `<head>.<stream>`.

    Input features: the event's own, then the normalised coordinates when a head wants them, then a flag that marks
    candidate voxels when a head masks regions, then the hints of that head.
    """

    def __init__(self, config: ModelConfig, engine: Engine | None = None) -> None:
        super().__init__()
        self.config = config
        self.engine: Engine = engine or TorchEngine()
        self.uses_coordinates = any(head.uses_coordinates for head in config.heads.values())
        self.flags_candidates = config.masking_head is not None
        self.hints = () if config.masking_head is None else config.heads[config.masking_head].hints
        in_channels = config.features + config.dim * self.uses_coordinates + self.flags_candidates + len(self.hints)
        streams = [f"{name}.{stream}" for name, head in config.heads.items() for stream in head.streams]
        self.backbone = config.backbone.build(in_channels=in_channels, dim=config.dim, streams=streams)
        channels = self.backbone.out_channels
        self.heads = nn.ModuleDict(
            {name: head.build(in_channels=channels, dim=config.dim) for name, head in config.heads.items()}
        )

    def head(self, name: str) -> Head:
        """The head called `name`."""
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def input_features(self, batch: Batch) -> Tensor:
        """Features of the voxels as the backbone sees them: (N, C).

        Raises:
            ValueError: the batch has another number of axes or features than the model.
        """
        if batch.coords.shape[1] != self.config.dim or batch.feats.shape[1] != self.config.features:
            raise ValueError(
                f"the model expects D = {self.config.dim} axes and {self.config.features} features, "
                f"the batch has {batch.coords.shape[1]} and {batch.feats.shape[1]}"
            )
        parts = [batch.feats]
        if self.uses_coordinates:
            parts.append(normalised_coordinates(batch))
        if self.flags_candidates:
            candidate = batch.labels.get("candidate")
            flag = torch.zeros_like(batch.energy) if candidate is None else candidate.to(batch.energy.dtype)
            parts.append(flag[:, None])
        for name in self.hints:
            hint = batch.labels.get(name)
            parts.append((torch.zeros_like(batch.energy) if hint is None else hint.to(batch.energy.dtype))[:, None])
        return torch.cat(parts, dim=1)

    def forward(self, batch: Batch, heads: tuple[str, ...] | None = None) -> dict[str, dict[str, Tensor]]:
        """Raw outputs of the heads (all, or the named ones)."""
        x = SparseTensor.build(batch.coords, self.input_features(batch), batch.offsets, self.engine)
        wanted = tuple(self.config.heads) if heads is None else heads
        streams = [f"{name}.{stream}" for name in wanted for stream in self.config.heads[name].streams]
        features = self.backbone(x, streams)
        outputs = {}
        for name in wanted:
            own = {stream: features[f"{name}.{stream}"] for stream in self.config.heads[name].streams}
            outputs[name] = self.head(name)(own, batch)
        return outputs

    def loss(self, outputs: Mapping[str, Mapping[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
        """Every term of every head as `<head>/<term>`, head weights included; their sum is the loss."""
        return {
            f"{name}/{term}": value * self.config.heads[name].weight
            for name, output in outputs.items()
            for term, value in self.head(name).loss(output, batch).items()
        }

    def monitor(self, outputs: Mapping[str, Mapping[str, Tensor]], batch: Batch) -> dict[str, Tensor]:
        """What the heads watch besides the loss, as `<head>/<quantity>`."""
        return {
            f"{name}/{quantity}": value
            for name, output in outputs.items()
            for quantity, value in self.head(name).monitor(output, batch).items()
        }

    @torch.no_grad()
    def decode(self, outputs: Mapping[str, Mapping[str, Tensor]], batch: Batch) -> dict[str, Decoded]:
        """What each head says; a semantic head is asked first because others build on it."""
        first = sorted(outputs, key=lambda name: not self.config.heads[name].decodes_semantics)
        semantic: SemanticLabels | None = None
        decoded = {}
        if batch.coords.is_cuda:
            torch.cuda.synchronize()  # so that the time of the network does not count as that of the decoding
        for name in first:
            begin = time.perf_counter()
            found = self.head(name).decode(outputs[name], batch, semantic)
            decoded[name] = dataclasses.replace(found, seconds=time.perf_counter() - begin)
            semantic = semantic or decoded[name].semantic
        return decoded
