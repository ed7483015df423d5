"""`python -m benchmarks.decoding`: time to turn the outputs of the clustering heads into clusters, on one core.

One image of 10,000 voxels and about 50 true clusters: events of the packaged sample side by side, with outputs as a
good network gives them (every voxel near the centre of its cluster; features of a cluster alike) and noise on them.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.timing import median_ms
from benchmarks.voxel_weights import voxels
from lartpc_sparse.cluster import (
    AbsorbSmallConfig,
    ClusterThresholds,
    JoinCollinearConfig,
    SplitUnconnectedConfig,
    decode_in_groups,
    split_unconnected,
)
from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.heads import SpatialEmbeddingConfig, VoxelGraphConfig, VoxelGraphHead
from lartpc_sparse.heads.class_groups import TRACK_SHOWER_GROUPS, regroup

CLASSES = ("HIP", "MIP", "shower", "delta", "Michel")


def image(number: int, clusters: int) -> Event:
    """Voxels of sample events; of more clusters than wanted, the smallest lose their label."""
    coords, semantic, instance = voxels(number)
    found, inverse, size = np.unique(instance, return_inverse=True, return_counts=True)
    kept = np.argsort(-size)[:clusters]
    labelled = np.isin(inverse, kept) & (semantic >= 0) & (found[inverse] >= 0)
    return Event(
        key=EventKey("benchmark", 0),
        coords=coords,
        energy=np.ones(len(coords), dtype=np.float32),
        image_size=tuple((coords.max(axis=0) + 1).tolist()),
        classes=CLASSES,
        labels={
            "semantic": np.where(labelled, semantic, -1),
            "instance": np.where(labelled, inverse, -1).astype(np.int64),
        },
    )


CONFIG = Path(__file__).resolve().parent.parent / "configs" / "clustering3d_small.yaml"


def graph_head(event: Event, refine: dict[str, list[dict[str, Any]]]) -> tuple[VoxelGraphHead, torch.Tensor]:
    """A head that scores edges by the distance of its features, and features with noise."""
    head = VoxelGraphConfig.model_validate({"refine": refine}).build(in_channels=16, dim=3).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.compare.weight[0, 16:32] = 1.0
        head.score.weight[0, 0], head.score.bias[0] = -1.0, 12.0
    generator = torch.Generator().manual_seed(0)
    centres = 3.0 * torch.randn(int(event.labels["instance"].max()) + 2, 16, generator=generator)
    features = centres[torch.from_numpy(event.labels["instance"])]
    return head, features + 0.3 * torch.randn(features.shape, generator=generator)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding", description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    event = image(options.voxels, options.clusters)
    batch = collate([event])
    classes = regroup(event.labels["semantic"], CLASSES, TRACK_SHOWER_GROUPS)
    instance = event.labels["instance"]
    number = len(np.unique(instance[instance >= 0]))
    print(f"{len(event)} voxels, {int((classes >= 0).sum())} of them in {number} clusters")

    rng = np.random.default_rng(0)
    centres = rng.uniform(-1, 1, (instance.max() + 2, 3))
    embedding = (centres[instance] + 0.01 * rng.standard_normal((len(event), 3))).astype(np.float32)
    margin = np.full(len(event), 0.05, dtype=np.float32)
    seediness = rng.uniform(0.6, 1.0, len(event)).astype(np.float32)
    thresholds = ClusterThresholds(seed=0.7, probability=0.2)
    config = SpatialEmbeddingConfig(thresholds=dict.fromkeys(TRACK_SHOWER_GROUPS, thresholds))
    output = {
        "embedding": torch.from_numpy(embedding),
        "margin": torch.from_numpy(margin),
        "seediness": torch.from_numpy(seediness),
    }
    embedding_head = config.build(in_channels=1, dim=3)
    took = median_ms(lambda: embedding_head.decode(output, batch, None), options.repeats)
    print(f"spatial embedding   {took:7.1f} ms")

    chosen = np.flatnonzero(classes >= 0)
    coords = event.coords[chosen]

    def inside() -> None:
        components = split_unconnected(coords, np.zeros(len(coords), dtype=np.int64))
        decode_in_groups(
            components,
            embedding[chosen],
            margin[chosen],
            seediness[chosen],
            thresholds=thresholds,
            leftover="nearest",
        )

    print(f"inside components   {median_ms(inside, options.repeats):7.1f} ms")
    # one class of all voxels, a tenth of the voxels in clusters of their own: the worst there is
    wrong = np.where(rng.random(len(chosen)) < 0.1, 1000 + np.arange(len(chosen)), instance[chosen])
    for refinement in (
        SplitUnconnectedConfig(),
        AbsorbSmallConfig(),
        AbsorbSmallConfig(radius=5),
        JoinCollinearConfig(),
    ):
        clean = median_ms(partial(refinement.refine, coords, instance[chosen]), options.repeats)
        noisy = median_ms(partial(refinement.refine, coords, wrong), options.repeats)
        print(f"{refinement.kind:19} {clean:7.1f} ms, {noisy:5.1f} ms with a tenth of the voxels apart")

    head, features = graph_head(event, {})
    edges = [(own.reach, own.far) for own in (head.config.linkage[name] for name in head.config.classes)]
    pairs, _ = head.scored_edges({"features": features}, batch, classes, edges)
    took = median_ms(lambda: head.scored_edges({"features": features}, batch, classes, edges), options.repeats)
    print(f"voxel graph, edges  {took:7.1f} ms ({len(pairs)} edges)")
    took = median_ms(lambda: head.decode({"features": features}, batch, None), options.repeats)
    print(f"voxel graph, whole  {took:7.1f} ms")
    refine = yaml.safe_load(CONFIG.read_text())["model"]["heads"]["particles"]["refine"]
    head, features = graph_head(event, refine)
    took = median_ms(lambda: head.decode({"features": features}, batch, None), options.repeats)
    print(f"with refinements    {took:7.1f} ms")


if __name__ == "__main__":
    main()
