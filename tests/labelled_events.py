"""Small labelled events for the tests of backbone, heads and network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads import Decoded, HeadConfig

CLASSES = ("HIP", "MIP", "shower", "delta", "Michel", "low_energy")
SIDE = 16


def make_event(
    coords: object,
    semantic: object | None = None,
    instance: object | None = None,
    *,
    energy: object | None = None,
    dim: int = 3,
    entry: int = 0,
    side: int = SIDE,
) -> Event:
    """An event with the labels `semantic` and `instance`, -1 unless given."""
    where = np.asarray(coords, dtype=np.int32).reshape(-1, dim)
    n = len(where)
    nothing = np.full(n, -1)
    return Event(
        key=EventKey("made.h5", entry),
        coords=where,
        energy=np.linspace(0.5, 3.0, n, dtype=np.float32) if energy is None else np.asarray(energy, np.float32),
        image_size=(side,) * dim,
        classes=CLASSES,
        labels={
            "semantic": np.asarray(nothing if semantic is None else semantic, dtype=np.int64),
            "instance": np.asarray(nothing if instance is None else instance, dtype=np.int64),
        },
    )


def random_event(seed: int, dim: int, n: int = 40, entry: int = 0) -> Event:
    """`n` voxels anywhere: all six classes and unlabelled ones, two instances a class, none in low energy."""
    rng = np.random.default_rng(seed)
    where = rng.choice(SIDE**dim, size=n, replace=False)
    coords = np.stack(np.unravel_index(where, (SIDE,) * dim), axis=1)
    semantic = np.arange(n) % (len(CLASSES) + 1) - 1
    belongs = (semantic >= 0) & (semantic < CLASSES.index("low_energy"))
    instance = np.where(belongs, 2 * semantic + rng.integers(2, size=n), -1)
    return make_event(coords, semantic, instance, energy=rng.uniform(0.1, 3, n), dim=dim, entry=entry)


def empty_event(dim: int, entry: int = 0) -> Event:
    """No voxel."""
    return make_event([], dim=dim, entry=entry)


def line_event(dim: int, seed: int = 0, entry: int = 0) -> Event:
    """Straight particles, one voxel thick: two HIP, one MIP and one shower, each along another axis or row."""
    rows: dict[tuple[int, ...], tuple[int, int]] = {}
    particles = (
        ("HIP", 0, (2, 2, 2), 0),
        ("HIP", 1, (13, 12, 12), 1),
        ("MIP", 2, (7, 3, 6), 0),
        ("shower", 3, (3, 9, 9), 1),
    )
    for name, number, start, axis in particles:
        for step in range(-2, 7):
            voxel = list(start[:dim])
            voxel[axis] = (start[axis] + step) % SIDE
            rows.setdefault(tuple(voxel), (CLASSES.index(name), number))
    rng = np.random.default_rng(seed)
    labels = np.array(list(rows.values()))
    energy = (1.0 + labels[:, 0]) * rng.uniform(0.8, 1.2, len(rows))
    return make_event(list(rows), labels[:, 0], labels[:, 1], energy=energy, dim=dim, entry=entry)


def prepared(config: HeadConfig, event: Event, seed: int = 0) -> Event:
    """The event with the targets and the view of a head."""
    rng = np.random.default_rng(seed)
    for transform in (config.targets(), config.view()):
        if transform is not None:
            event = transform(event, rng)
    return event


def head_batch(config: HeadConfig, events: Sequence[Event]) -> Batch:
    """The events as a head is given them."""
    return collate([prepared(config, event, seed) for seed, event in enumerate(events)])


def to_predictions(batch: Batch, decoded: Mapping[str, Decoded]) -> list[Prediction]:
    """What the predictions file would say of each event of the batch."""
    predictions = []
    for number, event in enumerate(batch.events):
        rows = slice(int(batch.offsets[number]), int(batch.offsets[number + 1]))
        predictions.append(
            Prediction(
                key=event.key,
                coords=event.coords,
                energy=event.energy,
                truth={name: event.labels[name] for name in ("semantic", "instance")},
                columns={
                    f"{head}/{name}": values[rows]
                    for head, result in decoded.items()
                    for name, values in result.columns.items()
                },
                tables={head: result.tables[number] for head, result in decoded.items() if result.tables},
            )
        )
    return predictions
