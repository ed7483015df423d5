"""Refinements and decoding inside components, as the heads that find instances use them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from labelled_events import CLASSES, empty_event, head_batch, line_event, random_event
from test_tuning import CHANNELS, REFINE, output_of

from lartpc_sparse.cluster import numbered_by_first, refine_clusters, split_unconnected
from lartpc_sparse.heads import HeadConfig, SpatialEmbeddingConfig, VoxelGraphConfig
from lartpc_sparse.heads.class_groups import regroup

COLUMN = "cluster_true_semantics"


def build(kind: str, **options: Any) -> SpatialEmbeddingConfig | VoxelGraphConfig:
    if kind == "voxel_graph":
        return VoxelGraphConfig.model_validate(options)
    return SpatialEmbeddingConfig.model_validate(options)


@pytest.mark.parametrize("kind", ["voxel_graph", "spatial_embedding"])
@pytest.mark.parametrize("dim", [2, 3])
def test_each_class_of_each_event_is_refined_by_itself(kind: str, dim: int) -> None:
    plain, refined = build(kind), build(kind, refine=REFINE)
    batch = head_batch(plain, [random_event(1, dim, 90), empty_event(dim, 1), line_event(dim, 2, 2)])
    output = output_of(plain, batch)
    torch.manual_seed(0)
    head = plain.build(in_channels=CHANNELS, dim=dim)
    other = refined.build(in_channels=CHANNELS, dim=dim)
    other.load_state_dict(head.state_dict())
    before = head.decode(output, batch, None).columns[COLUMN].astype(np.int64)
    after = other.decode(output, batch, None).columns[COLUMN]
    assert after.dtype == np.int32
    classes = regroup(batch.labels["semantic"].numpy(), CLASSES, plain.classes)
    event, coords = batch.batch_index().numpy(), batch.coords.numpy()
    for number, name in enumerate(plain.classes):
        for entry in range(3):
            rows = np.flatnonzero((classes == number) & (event == entry))
            expected = refine_clusters(coords[rows], before[rows], refined.refine.get(name, ()))
            np.testing.assert_array_equal(
                numbered_by_first(after[rows].astype(np.int64)), numbered_by_first(expected), strict=True
            )
            others = np.flatnonzero((classes != number) & (event == entry) & (after >= 0))
            assert not set(after[rows][after[rows] >= 0].tolist()) & set(after[others].tolist())


def test_no_cluster_leaves_a_connected_component_and_every_component_has_one() -> None:
    config = build("spatial_embedding", inside_components=["track", "shower"])
    batch = head_batch(config, [random_event(1, 3, 90), line_event(3, 2, 1)])
    head = config.build(in_channels=CHANNELS, dim=3)
    found = head.decode(output_of(config, batch), batch, None).columns[COLUMN]
    classes = regroup(batch.labels["semantic"].numpy(), CLASSES, config.classes)
    event = batch.batch_index().numpy()
    for number in range(2):
        for entry in range(2):
            rows = (classes == number) & (event == entry)
            parts = split_unconnected(batch.coords.numpy()[rows], np.zeros(int(rows.sum()), dtype=np.int64))
            pairs = np.unique(np.stack([found[rows], parts]), axis=1)
            assert len(np.unique(pairs[0])) == pairs.shape[1]
            assert set(pairs[1].tolist()) == set(range(int(parts.max()) + 1))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("voxel_graph", {"refine": {"kaon": []}}),
        ("spatial_embedding", {"refine": {"kaon": []}}),
        ("spatial_embedding", {"inside_components": ["kaon"]}),
    ],
)
def test_settings_of_an_unknown_class_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names kaon; the classes are shower, track, Michel, delta"):
        build(kind, **options)


def test_refinements_survive_a_round_trip_through_the_values_of_a_chain() -> None:
    config: HeadConfig = build("voxel_graph", refine=REFINE)
    assert type(config).model_validate(config.model_dump(mode="json")) == config
