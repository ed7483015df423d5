"""The section of the signal head: tables, figures with intervals, windows of frames, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from lartpc_sparse.report.blocks import FigureGrid, Note, Table
from lartpc_sparse.report.frame_windows import window_blocks
from lartpc_sparse.report.headline_numbers import headline_numbers
from lartpc_sparse.report.signal_section import signal_headlines, signal_section
from lartpc_sparse.report.summary import head_section
from lartpc_sparse.steps.metrics_table import metrics_table


def row(energy: float, found: int, ratio: float | None) -> dict[str, Any]:
    share = {"value": found / 10, "low": max(found / 10 - 0.1, 0), "high": min(found / 10 + 0.1, 1), "n": 10}
    return {"energy_kev": energy, "efficiency": share, "ratio_median": ratio, "ratio_half_width_68": ratio and 0.1}


def method(found: int) -> dict[str, Any]:
    return {
        "images": 5,
        "recoils": {"value": found / 10, "low": 0.1, "high": 0.9, "part": found, "n": 10},
        "clusters_per_image": 3.0,
        "fakes_per_image": 0.5,
        "pixels_to_clustering": 412.4,
        "seconds": {"clustering": 0.002, "total": 0.1},
        "electron": [row(1.0, found, 0.98), row(60.0, 10, 1.0)],
        "nuclear": [row(1.0, 0, None)],
    }


def window(side: int = 4) -> dict[str, Any]:
    image = [[float(r * side + c) for c in range(side)] for r in range(side)]
    clusters = [[-1.0] * side for _ in range(side)]
    clusters[1][1] = 0.0
    return {
        "nuclear": True,
        "energy_kev": 1.0,
        "file_entry": 3,
        "row": 40,
        "column": 80,
        "frame": image,
        "light": image,
        "probability": image,
        "clusters": {"network": clusters, "classical": clusters},
    }


METRICS = {
    "kind": "signal",
    "threshold": 0.2,
    "level": 0.95,
    "pixels": {"right": 9, "selected": 10, "signal": 12, "recall": 0.75, "precision": 0.9},
    "methods": {"network": method(9), "classical": method(7)},
    "examples": [window()],
}


def test_both_methods_stand_side_by_side() -> None:
    section = signal_section("pick", METRICS)
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert tables[0].header == ("", "network", "classical chain")
    cells = {cells[0]: cells[1:] for cells in tables[0].rows}
    assert cells["recoils found"] == ("90.0\u2009% [10.0, 90.0]", "70.0\u2009% [10.0, 90.0]")
    assert cells["pixels sent to clustering"] == ("412", "412")
    assert cells["time: clustering"] == ("2.0 ms", "2.0 ms")
    assert "Clopper-Pearson) intervals of 95" in section.lead
    figures = next(block for block in section.blocks if isinstance(block, FigureGrid)).figures
    assert [figure.title for figure in figures][:2] == [
        "Efficiency, nuclear recoils",
        "Cluster integral / true integral, nuclear recoils",
    ]
    network = figures[2].spec["data"][0]
    assert network["error_y"]["array"] == [pytest.approx(0.1), 0.0]


def test_every_window_shows_the_frame_and_the_clusters_of_both() -> None:
    note, grid = window_blocks([window()])
    assert isinstance(note, Note)
    assert note.text.startswith("Nuclear recoil of 1 keV, frame 3")
    assert isinstance(grid, FigureGrid)
    titles = [figure.title for figure in grid.figures]
    assert titles == ["Frame", "True light", "Signal probability", "Clusters, network", "Clusters, classical chain"]
    assert grid.figures[3].caption == "1 in this window"


@pytest.mark.parametrize("metrics", [{"kind": "signal"}, {"kind": "signal", "methods": None, "examples": [None, {}]}])
def test_missing_values_are_left_out(metrics: dict[str, Any]) -> None:
    section = head_section("pick", metrics)
    assert [type(block) for block in section.blocks] == [Note]


def test_headlines_and_the_table_of_the_terminal() -> None:
    names = [name for name, _, _ in signal_headlines(METRICS)]
    assert names[:2] == ["pixel recall", "pixel precision"]
    assert "fakes an image, classical chain" in names
    numbers = {number.quantity: number.value for number in headline_numbers({"heads": {"pick": METRICS}})}
    assert numbers["recoils found, network"] == 0.9
    assert numbers["seconds an image, classical"] == 0.1
    table = metrics_table({"events": 5, "voxels": 9, "heads": {"pick": METRICS}})
    assert table.row_count == 10
