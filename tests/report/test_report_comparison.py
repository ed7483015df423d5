"""Runs side by side: numbers, means and spreads, and the page."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_page import HOSTILE, Page

from lartpc_sparse.report.compared import Compared, grouped, keys_of
from lartpc_sparse.report.comparison import with_spread, write_comparison
from lartpc_sparse.report.headline_numbers import HeadlineNumber, headline_numbers


def run(value: float | None, status: str = "done", report: str | None = None, **labels: str) -> Compared:
    numbers = () if value is None else (HeadlineNumber("semantic", "accuracy", value, True),)
    return Compared(labels, status, numbers, report)


KEY = "semantic: accuracy"


def test_headline_numbers_of_every_kind_of_head() -> None:
    scores = {"recall": 0.5, "precision": None, "f1": float("nan")}
    metrics: dict[str, Any] = {
        "heads": {
            "semantic": {
                "kind": "semantic",
                "accuracy": 0.9,
                "macro": {"f1": 0.7},
                "per_class": {"HIP": scores},
                "track_shower": {"accuracy": 0.8, "per_class": {"track": scores, "shower": scores}},
            },
            "particles": {
                "kind": "spatial_embedding",
                "mean_ari": {"predicted": 0.6},
                "semantics": {"true": {"track": {"ari": {"mean": 0.4}}}},
            },
            "gaps": {"kind": "inpaint", "f1": 0.3, "charge": {"relative_error": 0.2}},
            "mine": {"kind": "mine", "a": 1, "b": "x", "c": True, "d": 2.0},
            "broken": None,
        }
    }
    found = {number.key: (number.value, number.main) for number in headline_numbers(metrics)}
    assert found == {
        "semantic: accuracy": (0.9, True),
        "semantic: macro F1": (0.7, True),
        "semantic: track/shower accuracy": (0.8, True),
        "semantic: recall track": (0.5, True),
        "semantic: recall shower": (0.5, True),
        "semantic: recall HIP": (0.5, False),
        "particles: mean ARI, predicted semantics": (0.6, True),
        "particles: ARI track, true semantics": (0.4, True),
        "gaps: in-gap F1": (0.3, True),
        "gaps: relative charge error": (0.2, True),
        "mine: a": (1.0, True),
        "mine: d": (2.0, True),
    }
    assert headline_numbers({}) == ()


@given(st.lists(st.tuples(st.sampled_from("uvy"), st.floats(0, 1) | st.none()), min_size=1, max_size=9))
def test_means_and_spreads_over_the_seed(values: list[tuple[str, float | None]]) -> None:
    runs = [run(value, plane=plane, seed=str(seed)) for seed, (plane, value) in enumerate(values)]
    groups = grouped(runs)
    assert [group.labels["plane"] for group in groups] == list(dict.fromkeys(plane for plane, _ in values))
    for group in groups:
        expected = [value for plane, value in values if plane == group.name and value is not None]
        assert group.mean(KEY) == (pytest.approx(statistics.mean(expected)) if expected else None)
        spread = pytest.approx(statistics.stdev(expected), abs=1e-12) if len(expected) > 1 else None
        assert group.spread(KEY) == spread


def test_groups_of_one_and_of_all() -> None:
    assert [group.name for group in grouped([run(0.1, plane="u"), run(0.2, plane="v")])] == ["u", "v"]
    (everything,) = grouped([run(0.1, seed="1"), run(0.3, seed="2"), run(None, seed="3")])
    assert everything.name == "all"
    assert with_spread(everything, KEY, 2) == "0.20 ± 0.14"
    assert keys_of(everything.members, main=True) == (KEY,)


def test_the_page_links_to_reports_and_shows_means(tmp_path: Path) -> None:
    runs = [
        run(0.9, plane="u", seed="1", report="plane%3Du/report.html"),
        run(0.8, plane="u", seed="2"),
        run(None, "not run", plane=HOSTILE, seed="1"),
    ]
    output = write_comparison(tmp_path / "s.html", title=HOSTILE, runs=runs, facts=(("a", HOSTILE),), chain=HOSTILE)
    page = Page(output.read_text(encoding="utf-8"))
    assert "plane%3Du/report.html" in {attrs["href"] for attrs in page.all("a")}
    assert {attrs["id"] for attrs in page.all("section")} == {"summary", "figures", "head-semantic", "configuration"}
    assert "0.8500 ± 0.0707" in page.text()
    figures = [json.loads(text) for text in page.json]
    assert len(figures) == 2
    bars = next(trace for trace in figures[0]["data"] if trace["type"] == "bar")
    assert bars["y"] == [pytest.approx(0.85)]
    assert "onerror" not in {name for tag in page.tags for name in tag[1]}


def test_nothing_evaluated_yet(tmp_path: Path) -> None:
    output = write_comparison(
        tmp_path / "s.html", title="t", runs=[run(None, "not run", plane="u")], facts=(), chain=""
    )
    assert "No variant has been evaluated yet." in output.read_text(encoding="utf-8")
