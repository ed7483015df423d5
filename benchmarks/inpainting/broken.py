"""Tracks that stay whole: clustering behind a gap that is empty, filled, or not there."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from pydantic import TypeAdapter

from benchmarks.inpainting.options import reader_of
from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.gaps import filled_event
from lartpc_sparse.cluster.join_collinear import JoinCollinearConfig
from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.dataset import event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.pipeline import TransformField
from lartpc_sparse.data.regions import SlabsConfig, box_of_voxel
from lartpc_sparse.data.single_particles import instances_of
from lartpc_sparse.data.transforms import rows_of
from lartpc_sparse.metrics.broken_tracks import CrossedTrack, continuity_summary, crossed_tracks
from lartpc_sparse.network import Network
from lartpc_sparse.sparse.engines import registry
from lartpc_sparse.steps.gap_filler import Filler, NetworkFiller, plain_filler
from lartpc_sparse.weights import describe, find_weights, load_weights

__all__ = ["measure_broken"]


class Labeller:
    """Groups of classes (all tracks are one) by a semantic network, as `predict` finds them."""

    def __init__(self, weights: str) -> None:
        path = find_weights(weights)
        described = describe(path)
        model = described.model_config()
        self._name = next(name for name, head in model.heads.items() if head.decodes_semantics)
        self._network = Network(model, registry.choose_engine("auto", "cpu").engine)
        load_weights(self._network, path)
        self._network.eval()
        configs = TypeAdapter(tuple[TransformField, ...]).validate_python(described.transforms)
        self._transforms = [config.build() for config in configs]

    @torch.inference_mode()
    def groups(self, event: Event) -> Int64[np.ndarray, " N"]:
        """Number of the group of each voxel."""
        moved = event
        for transform in self._transforms:
            moved = transform(moved, np.random.default_rng(0))
        batch = collate([moved])
        decoded = self._network.decode(self._network(batch, (self._name,)), batch)[self._name].semantic
        assert decoded is not None
        numbers = [0 if name in TRACK_NAMES else 1 + number for number, name in enumerate(decoded.classes)]
        table = np.array([*numbers, -1])
        ordered = batch.events[0]
        found: Int64[np.ndarray, " N"] = table[decoded.labels][rows_of(event.coords, ordered.coords)]
        return found


def measure_broken(options: argparse.Namespace) -> dict[str, Any]:
    """For each width and way of filling: broken tracks, efficiency and purity, on the voxels outside of the gap.

    Clusters are connected components of one group of classes; `joined` ones are joined end to end across the gap
    besides (`join_collinear`), the repair that needs no inpainting.
    """
    reader, labeller = reader_of(options), Labeller(options.semantic)
    found: dict[str, Any] = {}
    for width in options.widths:
        regions = (SlabsConfig(width=(width, width)),)
        engine = registry.choose_engine("auto", "cpu").engine
        ways: dict[str, Filler] = {name: plain_filler(name, regions) for name in ("nothing", "line", "reflection")}
        ways["network"] = NetworkFiller(find_weights(options.weights), regions, engine, "cpu")
        tracks: dict[str, list[CrossedTrack]] = {}
        for index in range(len(reader)):
            event = reader.read(index)
            for name, more in _one_event(event, index, width, ways, labeller, seed=options.seed).items():
                tracks.setdefault(name, []).extend(more)
        found[str(width)] = {name: continuity_summary(more) for name, more in tracks.items()}
    return found


def _one_event(
    event: Event, index: int, width: int, ways: dict[str, Filler], labeller: Labeller, *, seed: int
) -> dict[str, list[CrossedTrack]]:
    join = JoinCollinearConfig(max_gap=2.0 * width + 4)
    found: dict[str, list[CrossedTrack]] = {}
    boxes = ways["nothing"]([event], [event_rng(seed, 0, index, 0)])[0][0]
    outside = box_of_voxel(event.coords, boxes) < 0
    axis = int(np.argmin(boxes[0, 1] - boxes[0, 0]))
    side = (event.coords[outside, axis] >= boxes[0, 1, axis]).astype(np.int64)
    track, labelled = instances_of(event)[outside], event.labels["instance"][outside]
    images = {"no gap": event}
    for name, way in ways.items():
        own_boxes, fill = way([event], [event_rng(seed, 0, index, 0)])[0]
        assert np.array_equal(own_boxes, boxes)
        images[name] = filled_event(event, boxes, fill)
    for name, image in images.items():
        rows = rows_of(event.coords[outside], image.coords)
        groups = labeller.groups(image)
        clusters = connected_components(image.coords, groups)
        found[name] = crossed_tracks(clusters[rows], track, labelled, side)
        if name == "nothing":
            on_tracks = np.where(groups == 0, clusters, -1)
            joined = join.refine(image.coords, on_tracks)
            again = np.where(groups == 0, joined, clusters + len(clusters))
            found["nothing, joined"] = crossed_tracks(again[rows], track, labelled, side)
    return found
