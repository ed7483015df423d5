"""Decisions on the semantic output against loops, at the edges, and in a predictions file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_events import line_event

from lartpc_sparse.cluster import connected_components, dbscan
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter
from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.heads.decisions import DecisionConfig, with_decisions
from lartpc_sparse.heads.decisions.decide import (
    NONE,
    SHOWER,
    TRACK,
    decide_event,
    decide_voxels,
    make_cluster_table,
    shower_probability,
)
from lartpc_sparse.schema import UserError

FIVE = SemanticConfig().classes
SHOWER_CLASSES = [FIVE.index(name) for name in ("shower", "delta", "Michel")]
TRACK_CLASSES = [FIVE.index(name) for name in ("HIP", "MIP")]


def scores(p_shower: object) -> np.ndarray:
    """Scores of the five classes with the given p_shower, shared over shower, delta and Michel; NaN stays."""
    p = np.asarray(p_shower, dtype=np.float64)[:, None]
    return ((1 - p) * [0.25, 0.75, 0, 0, 0] + p * [0, 0, 0.5, 0.25, 0.25]).astype(np.float32)


def made(
    coords: object, p_shower: object, instance: object | None = None, *, energy: object | None = None
) -> Prediction:
    """A prediction with scores, and with truth where `instance` is given."""
    where = np.asarray(coords, dtype=np.int32)
    n = len(where)
    truth = {} if instance is None else {"instance": np.asarray(instance, dtype=np.int32)}
    weight = np.arange(1, n + 1) if energy is None else np.asarray(energy)
    return Prediction(
        EventKey("made.h5", 3), where, weight.astype(np.float32), truth, {"sem/probability": scores(p_shower)}
    )


def line(start: int, length: int, row: int = 0) -> list[tuple[int, int]]:
    return [(start + step, row) for step in range(length)]


def decide(prediction: Prediction, **options: Any) -> Any:
    config = DecisionConfig.model_validate({"min_voxels": 1, **options})
    return config.decide(prediction, prediction.columns["sem/probability"], FIVE)


def test_p_shower_is_the_sum_of_the_three_classes() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(5), size=50).astype(np.float32)
    expected = [float(row[2]) + float(row[3]) + float(row[4]) for row in probability]
    np.testing.assert_allclose(shower_probability(probability, SHOWER_CLASSES, TRACK_CLASSES), expected, rtol=1e-12)


def test_a_voxel_at_the_cut_is_shower_and_nan_is_nothing() -> None:
    p_shower = np.array([0.5, np.nextafter(0.5, 0), 0.0, 1.0, np.nan])
    assert decide_voxels(p_shower, 0.5).tolist() == [SHOWER, TRACK, TRACK, SHOWER, NONE]
    assert decide_voxels(p_shower[:3], 0.0).tolist() == [SHOWER] * 3


def test_classes_that_are_neither_take_no_part() -> None:
    """Six classes: the last is neither track nor shower."""
    probability = np.array(
        [[0, 0.3, 0.5, 0, 0, 0.2], [0, 0.1, 0.3, 0, 0, 0.6], [0.4, 0, 0.1, 0.1, 0.1, 0.3]], np.float32
    )
    found = shower_probability(probability, [2, 3, 4], [0, 1])
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2]], [0.5 / 0.8, 0.3 / 0.7], rtol=1e-6)
    with pytest.raises(ValueError, match="of 6 classes"):
        shower_probability(probability, [2, 6], [0])


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, 1, 3]),
)
def test_cluster_table_against_a_loop(seed: int, cut: float, min_voxels: int, max_clusters: int | None) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 40))
    cluster = rng.choice([-1, 2, 3, 7, 11, 20], size=n)
    p_shower = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    voxels = decide_voxels(p_shower, 0.5)
    energy = rng.random(n).astype(np.float32)
    row, table = make_cluster_table(
        cluster, voxels, p_shower, energy, cut=cut, min_voxels=min_voxels, max_clusters=max_clusters
    )
    members = {
        k: [i for i in range(n) if cluster[i] == k and voxels[i] != NONE] for k in sorted({*cluster.tolist()} - {-1})
    }
    members = {k: rows for k, rows in members.items() if rows}
    assert table.id.tolist() == list(members)
    for number, rows in enumerate(members.values()):
        share = sum(voxels[i] == SHOWER for i in rows) / len(rows)
        assert (table.voxels[number], table.shower_fraction[number]) == (len(rows), share)
        assert table.shower_voxels[number] == sum(voxels[i] == SHOWER for i in rows)
        assert table.shower_like[number] == (share >= cut)
        assert table.energy[number] == pytest.approx(sum(float(energy[i]) for i in rows))
        assert table.mean_p_shower[number] == pytest.approx(np.mean([p_shower[i] for i in rows]))
    assert row.tolist() == [
        list(members).index(cluster[i]) if cluster[i] in members and i in members[cluster[i]] else -1 for i in range(n)
    ]
    largest = sorted(range(len(members)), key=lambda k: -table.voxels[k])[:max_clusters]
    expected = [k in largest and table.voxels[k] >= min_voxels for k in range(len(members))]
    assert table.considered.tolist() == expected
    said = [bool(table.shower_like[k]) for k in range(len(members)) if expected[k]]
    assert decide_event(table) == (NONE if not said else SHOWER if any(said) else TRACK)


@pytest.mark.parametrize(("shower", "event"), [(2, SHOWER), (1, TRACK)])
def test_the_published_cuts(shower: int, event: int) -> None:
    """Two of ten voxels are shower: f_s = 0.2 is enough; one is not."""
    found = decide(made(line(0, 10), [0.9] * shower + [0.1] * (10 - shower)))
    assert found.clusters.shower_fraction.tolist() == [shower / 10]
    assert found.event == event


def test_a_cluster_counts_as_a_whole_or_not_at_all() -> None:
    """A track with a Michel at its end is one connected cluster, and track-like; apart from it the Michel is not."""
    joined = made(line(0, 40) + line(40, 5), [0.0] * 40 + [1.0] * 5, [1] * 40 + [2] * 5)
    assert decide(joined).event == TRACK
    assert decide(joined, clusters={"kind": "truth"}).event == SHOWER
    assert decide(joined, clusters={"kind": "truth"}, min_voxels=6).event == TRACK
    assert decide(joined, clusters={"kind": "truth"}, max_clusters=1).event == TRACK


def test_kinds_of_clusters() -> None:
    rng = np.random.default_rng(1)
    coords = np.unique(rng.integers(0, 12, size=(60, 3)), axis=0)
    prediction = made(coords, rng.random(len(coords)), np.arange(len(coords)) % 4 - 1)
    head = np.arange(len(coords)) % 3
    columns = {**prediction.columns, "particles/cluster": head.astype(np.int32)}
    prediction = Prediction(prediction.key, prediction.coords, prediction.energy, prediction.truth, columns)
    expected = {
        "truth": prediction.truth["instance"],
        "connected": connected_components(prediction.coords),
        "dbscan": dbscan(prediction.coords, 1.5, 3),
        "instances": head,
    }
    for kind, labels in expected.items():
        options = {"eps": 1.5, "min_samples": 3} if kind == "dbscan" else {}
        found = decide(prediction, clusters={"kind": kind, **options})
        ids = np.append(found.clusters.id, -1)[found.cluster]
        np.testing.assert_array_equal(ids, labels)


def test_voxels_outside_of_the_network_join_nothing() -> None:
    """The voxel between two lines was dropped by a transform."""
    p_shower = [0.0] * 3 + [np.nan] + [1.0] * 3
    found = decide(made(line(0, 7), p_shower))
    assert found.cluster.tolist() == [0, 0, 0, -1, 1, 1, 1]
    assert found.clusters.energy.tolist() == [1 + 2 + 3, 5 + 6 + 7]
    assert found.voxels.tolist() == [0, 0, 0, -1, 1, 1, 1]


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("kind", ["truth", "connected", "dbscan"])
def test_no_voxel_no_decision(dim: int, kind: str) -> None:
    found = decide(made(np.empty((0, dim)), [], []), clusters={"kind": kind})
    assert found.event == NONE
    assert len(found.clusters) == 0
    assert np.isnan(found.clusters.largest_fraction)


def test_one_voxel() -> None:
    assert decide(made([(5, 5)], [1.0])).event == SHOWER
    assert decide(made([(5, 5)], [1.0]), min_voxels=2).event == NONE
    assert decide(made([(5, 5)], [np.nan])).event == NONE


def test_clusters_that_are_not_there() -> None:
    with pytest.raises(UserError, match=r"made.h5 entry 3.*no label 'instance'"):
        decide(made([(5, 5)], [1.0]), clusters={"kind": "truth"})
    with pytest.raises(UserError, match=r"made.h5 entry 3: .*there is none"):
        decide(made([(5, 5)], [1.0]), clusters={"kind": "instances"})


def test_columns_and_tables_in_the_file(tmp_path: Path) -> None:
    """Through a predictions file, with an empty and a skipped event; each table in the words of the decision."""
    config = DecisionConfig(min_voxels=2)
    event = line_event(2)
    rng = np.random.default_rng(0)
    events = [
        made(event.coords, rng.random(len(event))),
        made(np.empty((0, 2)), []),
        Prediction(
            EventKey("made.h5", 9),
            event.coords,
            event.energy,
            columns={"sem/probability": scores([0.9] * len(event))},
            status="bad",
        ),
    ]
    with PredictionWriter(tmp_path / "p.h5", image_size=(16, 16), classes=FIVE, attributes={}) as writer:
        for prediction in events:
            writer.write(with_decisions(prediction, "sem", FIVE, config))
    with PredictionFile(tmp_path / "p.h5") as file:
        stored = list(file)
    found = config.decide(events[0], events[0].columns["sem/probability"], FIVE)
    np.testing.assert_array_equal(stored[0].columns["sem/track_shower"], found.voxels)
    np.testing.assert_array_equal(stored[0].columns["sem/decision_cluster"], found.cluster)
    clusters, decided = stored[0].tables["sem.clusters"], stored[0].tables["sem.event"]
    np.testing.assert_array_equal(clusters["voxels"], found.clusters.voxels)
    np.testing.assert_array_equal(clusters["shower_like"], found.clusters.shower_like)
    np.testing.assert_allclose(clusters["energy"].sum(), events[0].energy[found.cluster >= 0].sum(), rtol=1e-5)
    assert decided["decision"].tolist() == [found.event]
    assert decided["largest_fraction"][0] == pytest.approx(found.clusters.largest_fraction)
    for nothing in stored[1:]:
        assert nothing.tables["sem.event"]["decision"].tolist() == [NONE]
        assert len(nothing.tables["sem.clusters"]["id"]) == 0
    assert (stored[2].columns["sem/track_shower"] == NONE).all()


def test_none_leaves_the_prediction_alone() -> None:
    prediction = made([(5, 5)], [1.0])
    assert with_decisions(prediction, "sem", FIVE, None) is prediction
    assert SemanticConfig().finish("sem", prediction) is prediction
