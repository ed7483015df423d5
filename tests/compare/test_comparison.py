"""The detector-variation table against loops over small files, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from compare_files import FIVE, configuration, prediction, random_events, write
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.compare import Comparison, compare_predictions
from lartpc_sparse.compare.__main__ import main
from lartpc_sparse.compare.matching import common_voxels, matched_clusters
from lartpc_sparse.compare.statistics import TITLES
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.decisions import DecisionConfig
from lartpc_sparse.schema import UserError

SHOWER = [FIVE.index(name) for name in ("shower", "delta", "Michel")]
TRUTH = DecisionConfig.model_validate({"min_voxels": 3, "clusters": {"kind": "truth"}})


@given(st.integers(0, 10_000))
def test_common_voxels_against_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(0, 5, (int(rng.integers(0, 20)), 3)).astype(np.int32) for _ in range(2))
    first, second = common_voxels(one, other, (5, 5, 5))
    np.testing.assert_array_equal(one[first], other[second])
    assert {*map(tuple, one[first].tolist())} == {*map(tuple, one.tolist())} & {*map(tuple, other.tolist())}
    assert len(first) == len({*map(tuple, one[first].tolist())})


def test_clusters_are_matched_through_their_units() -> None:
    """Cluster 0 is mostly unit 5, 1 is unit 7 which the other sample lacks, 2 has no unit."""
    cluster = np.array([0, 0, 0, 1, 1, 2, -1])
    unit = np.array([5, 5, 7, 7, 7, -1, 5])
    other_cluster = np.array([3, 4, 4, 4, -1, 6])
    other_unit = np.array([5, 5, 5, 8, 7, 8])
    assert matched_clusters(cluster, unit, other_cluster, other_unit).tolist() == [[0, 4]]
    empty = np.empty(0, dtype=np.int64)
    assert matched_clusters(empty, empty, other_cluster, other_unit).shape == (0, 2)
    assert matched_clusters(cluster, unit, empty, empty).shape == (0, 2)


def naive(nominal: list[Prediction], varied: list[Prediction]) -> dict[str, int]:
    """Counts with dictionaries and loops, clusters being true instances of at least 3 voxels."""
    total = dict.fromkeys(
        ("common", "changed", "changed_two", "right_n", "right_v", "matched", "flipped", "event_flipped"), 0
    )
    for one, two in zip(nominal, varied, strict=True):
        sides = []
        for event in (one, two):
            rows = zip(
                event.coords.tolist(),
                event.columns["semantic/label"].tolist(),
                event.truth["semantic"].tolist(),
                event.truth["instance"].tolist(),
                strict=True,
            )
            sides.append({tuple(xy): (label, truth, number) for xy, label, truth, number in rows if label >= 0})
        for xy in sides[0].keys() & sides[1].keys():
            a, b = sides[0][xy][0], sides[1][xy][0]
            total["common"] += 1
            total["changed"] += a != b
            total["changed_two"] += (a in SHOWER) != (b in SHOWER)
        shower_like: list[dict[int, tuple[bool, bool]]] = []
        for suffix, side in zip("nv", sides, strict=True):
            total[f"right_{suffix}"] += sum(label == truth for label, truth, _ in side.values())
            found = {}
            for number in {n for *_, n in side.values()}:
                labels = [label for label, _, n in side.values() if n == number]
                found[number] = (sum(label in SHOWER for label in labels) / len(labels) >= 0.2, len(labels) >= 3)
            shower_like.append(found)
        for number, (like, large) in shower_like[0].items():
            if large and number in shower_like[1]:
                total["matched"] += 1
                total["flipped"] += like != shower_like[1][number][0]
        said = [any(like and large for like, large in side.values()) for side in shower_like]
        total["event_flipped"] += said[0] != said[1]
    return total


def test_counts_against_loops(tmp_path: Path) -> None:
    nominal = random_events(0, 12, wrong=0.1)
    others = [
        random_events(seed, 12, wrong=0.2, lost=lost, file=f"other{seed}.h5") for seed, lost in ((1, 0.0), (2, 0.3))
    ]
    files = [write(tmp_path / f"{n}" / "predictions.h5", events) for n, events in enumerate([nominal, *others])]
    found = compare_predictions(files[0], files[1:], decisions=TRUTH, resamples=50)
    assert [variation.name for variation in found.variations] == ["1", "2"]
    assert (found.events, found.skipped, found.matched_by) == (12, 0, "true instance")
    for variation, events in zip(found.variations, others, strict=True):
        expected, counts = naive(nominal, events), variation.counts
        for name in ("common", "changed", "changed_two", "right_n", "right_v", "matched"):
            assert counts[name] == expected[name], name
        assert counts["to_shower"] + counts["to_track"] == expected["flipped"]
        assert counts["event_to_shower"] + counts["event_to_track"] == expected["event_flipped"]
        said = variation.estimates
        assert said["changed"].value == expected["changed"] / expected["common"]
        assert said["clusters_flipped"].value == expected["flipped"] / expected["matched"]
        voxels = [sum(len(event) for event in sample) for sample in (nominal, events)]
        difference = expected["right_v"] / voxels[1] - expected["right_n"] / voxels[0]
        assert said["accuracy"].value == pytest.approx(difference)
        for estimate in said.values():
            assert estimate.low is not None
            assert estimate.value is not None
            assert estimate.high is not None
            assert estimate.low <= estimate.value <= estimate.high or estimate.interval != "binomial"


def test_a_sample_against_itself_changes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "predictions.h5", random_events(0, 5))
    found = compare_predictions(path, [path], ["same"]).variations[0].estimates
    values = {name: estimate.value for name, estimate in found.items()}
    assert values == {**dict.fromkeys(TITLES, 0.0), "voxels": 1.0, "common": 1.0}


def compare(tmp_path: Path, nominal: list[Prediction], varied: list[Prediction]) -> Comparison:
    files = [write(tmp_path / f"{n}" / "predictions.h5", events) for n, events in enumerate([nominal, varied])]
    return compare_predictions(files[0], files[1:], resamples=20)


def test_without_truth_clusters_are_matched_by_voxels(tmp_path: Path) -> None:
    """Connected lines: matched by the voxels in common, they flip where the labels do; no accuracy."""
    line = np.stack([np.arange(10), np.zeros(10)], 1)
    coords, none = np.concatenate([line, line + np.array([0, 5])]), np.full(20, -1)
    key = EventKey("y.h5", 0)
    one = prediction(coords, none, none, np.repeat([1, 2], 10), key, labelled=False)
    two = prediction(coords[1:], none[1:], none[1:], np.full(19, 2), key, labelled=False)
    found = compare(tmp_path, [one], [two])
    assert found.matched_by == "common voxels"
    counts, said = found.variations[0].counts, found.variations[0].estimates
    assert (counts["matched"], counts["to_shower"], counts["to_track"]) == (2, 1, 0)
    assert (counts["common"], counts["changed"]) == (19, 9)
    assert said["accuracy"].value is None
    assert (said["changed"].low, said["clusters_flipped"].low is None) == (None, False)  # one event: no bootstrap


def test_dropped_voxels_skipped_and_empty_events(tmp_path: Path) -> None:
    nominal, varied = random_events(0, 4), random_events(1, 4)
    varied[1] = dataclasses.replace(varied[1], status="no voxels")
    nominal[2], varied[2] = (
        prediction(np.empty((0, 2)), *[np.empty(0, np.int64)] * 3, event.key) for event in (nominal[2], varied[2])
    )
    nominal[3].columns["semantic/label"][:5] = -1
    nominal[3].columns["semantic/probability"][:5] = np.nan
    found = compare(tmp_path, nominal, varied)
    assert (found.events, found.skipped) == (3, 1)
    counts = found.variations[0].counts
    assert counts["common"] == len(nominal[0]) + len(nominal[3]) - 5
    assert counts["events"] == 2


def test_other_events_are_refused(tmp_path: Path) -> None:
    nominal = random_events(0, 3)
    with pytest.raises(UserError, match=r"differ in events \(3 and 2\)"):
        compare(tmp_path, nominal, random_events(0, 2))
    with pytest.raises(UserError, match=r"event 1 is y.h5 entry 1 in .*, but y.h5 entry 2 in"):
        compare(tmp_path, nominal, [nominal[0], nominal[2], nominal[1]])
    later = [*nominal[:2], dataclasses.replace(nominal[2], key=EventKey("z.h5", 2))]
    with pytest.raises(UserError, match=r"event 2 is y.h5 entry 2 in .*, but z.h5 entry 2 in"):
        compare(tmp_path, nominal, later)


def test_files_that_cannot_be_compared(tmp_path: Path) -> None:
    good = write(tmp_path / "good" / "predictions.h5", random_events(0, 2))
    with pytest.raises(UserError, match="differ in image size"):
        compare_predictions(good, [write(tmp_path / "b.h5", random_events(0, 2), side=99)])
    with pytest.raises(UserError, match="no usable semantic head"):
        compare_predictions(write(tmp_path / "c.h5", random_events(0, 2), "a: 1"), [good])
    with pytest.raises(UserError, match="no semantic head 'other'; it has semantic"):
        compare_predictions(good, [good], head="other")
    with pytest.raises(UserError, match="same name"):
        compare_predictions(good, [good, good])
    with pytest.raises(UserError, match="1 names for 2 variations"):
        compare_predictions(good, [good, good], ["one"])
    with pytest.raises(UserError, match="no predictions file"):
        compare_predictions(good, [tmp_path / "missing.h5"])
    with pytest.raises(UserError, match="shower_classes name nothing"):
        compare_predictions(good, [good], decisions=DecisionConfig(shower_classes=("nothing",)))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        write(tmp_path / name / "predictions.h5", random_events(seed, 6))
        for seed, name in enumerate(["none", "<gain>"])
    ]
    cuts = tmp_path / "cuts.yaml"
    cuts.write_text("cluster_fraction: 0.9\nmin_voxels: 3\n")
    output = tmp_path / "out" / "table.html"
    status = main([*map(str, files), "--output", str(output), "--decisions", str(cuts), "--resamples", "20"])
    assert status == 0
    printed = capsys.readouterr().out
    assert "<gain>" in printed
    assert "voxels in common" in printed  # on one line: nothing is cut off
    assert "…" not in printed
    found = json.loads((tmp_path / "out" / "table.json").read_text())
    assert found["decisions"]["cluster_fraction"] == 0.9
    assert set(found["variations"][0]["estimates"]) == set(TITLES)
    page = output.read_text()
    assert "&lt;gain&gt;" in page
    assert "Event displays" not in page
    assert main([str(files[0]), str(tmp_path / "none.h5")]) == 2
    assert "no predictions file" in capsys.readouterr().err
    assert "1e1p" in configuration()
