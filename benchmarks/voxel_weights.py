"""`python -m benchmarks.voxel_weights`: time to weigh the voxels of an event in the semantic loss.

Events of the packaged sample are laid side by side until an image has the wanted number of voxels. Beside the
weightings: the search for voxels of another class with scipy's KD-tree, and with all pairs as in SparseSSNet's public
code.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.timing import median_ms
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.heads import voxel_weights
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.voxel_weights import (
    ClusterVertexConfig,
    InverseFrequencyConfig,
    NoWeightingConfig,
    PublicCodeConfig,
    TrueVoxels,
    near_other_class,
)

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
_CLASSES = {name: (name,) for name in ("HIP", "MIP", "shower", "delta", "Michel")}
_MOST_PAIRS = 20_000


def voxels(number: int) -> Columns:
    """Coordinates, classes and instances of sample events side by side, cut at `number` voxels."""
    reader = SampleConfig(split="train").build()
    parts: list[Columns] = []
    total = 0
    while total < number:
        event = reader.read(len(parts) % len(reader))
        shift = np.array([len(parts) * event.image_size[0], 0, 0], dtype=np.int32)
        semantic = regroup(event.labels["semantic"], event.classes, _CLASSES)
        parts.append((event.coords + shift, semantic, event.labels["instance"] + 10_000 * len(parts)))
        total += len(event)
    coords, semantic, instance = (np.concatenate(column)[:number] for column in zip(*parts, strict=True))
    return coords, semantic, instance


def all_pairs(coords: np.ndarray, semantic: np.ndarray, distance: int) -> np.ndarray:
    """Near another class within a box, every voxel compared with every other."""
    near = np.zeros(len(coords), dtype=bool)
    for row in range(len(coords)):
        close = (np.abs(coords - coords[row]) <= distance).all(axis=1)
        near[row] = semantic[row] >= 0 and bool((close & (semantic >= 0) & (semantic != semantic[row])).any())
    return near


def with_kd_tree(coords: np.ndarray, semantic: np.ndarray) -> np.ndarray:
    """`near_other_class` as it is without the C++ kernels."""
    compiled = voxel_weights.missing_reason
    voxel_weights.missing_reason = lambda: "left out"  # type: ignore[assignment]
    try:
        return near_other_class(coords, semantic, 3.0, box=True)
    finally:
        voxel_weights.missing_reason = compiled


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voxel_weights", description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"{'':34s}" + "".join(f"{number:>12,}" for number in options.voxels) + "  voxels")
    samples = [voxels(number) for number in options.voxels]
    weightings = (ClusterVertexConfig(), PublicCodeConfig(), InverseFrequencyConfig(), NoWeightingConfig())
    for config in weightings:
        times = [median_ms(lambda s=s, c=config: c.weights(TrueVoxels(*s)), options.repeats) for s in samples]  # type: ignore[misc]
        print(f"{config.kind:34s}" + "".join(f"{value:9.2f} ms" for value in times))
    times = [median_ms(lambda s=s: with_kd_tree(s[0], s[1]), options.repeats) for s in samples]  # type: ignore[misc]
    print(f"{'search alone, KD-tree':34s}" + "".join(f"{value:9.2f} ms" for value in times))
    few = [s for s in samples if len(s[0]) <= _MOST_PAIRS]
    times = [median_ms(lambda s=s: all_pairs(s[0], s[1], 3), 1) for s in few]  # type: ignore[misc]
    print(f"{'search alone, all pairs':34s}" + "".join(f"{value:9.0f} ms" for value in times))
    coords, semantic, _ = few[0]
    expected = all_pairs(coords, semantic, 3)
    agree = [
        np.array_equal(expected, found)
        for found in (with_kd_tree(coords, semantic), near_other_class(coords, semantic, 3.0, box=True))
    ]
    print(f"all ways agree: {all(agree)}")


if __name__ == "__main__":
    main()
