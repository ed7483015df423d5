"""The CSV log: columns that appear late, and the rows that a resumed run replaces."""

from __future__ import annotations

import csv
from pathlib import Path

from lartpc_sparse.train.csv_logger import CsvLogger


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_column_may_appear_late(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    logger = CsvLogger(path)
    logger.log_metrics({"train/loss": 1.5, "epoch": 0}, step=0)
    logger.log_metrics({"val/loss": 2.5, "epoch": 0}, step=0)
    logger.log_metrics({"train/loss": 1.25, "epoch": 1}, step=1)
    assert _rows(path) == [
        {"step": "0", "epoch": "0", "train/loss": "1.5", "val/loss": ""},
        {"step": "0", "epoch": "0", "train/loss": "", "val/loss": "2.5"},
        {"step": "1", "epoch": "1", "train/loss": "1.25", "val/loss": ""},
    ]


def test_a_resumed_run_drops_the_rows_it_will_write_again(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    first = CsvLogger(path)
    for step in range(5):
        first.log_metrics({"train/loss": float(step), "epoch": 0}, step=step)
    with path.open("a") as file:
        file.write("5,0")  # a kill cut this row
    again = CsvLogger(path, first_step=3)
    assert [row["step"] for row in _rows(path)] == ["0", "1", "2"]
    again.log_metrics({"train/loss": 9.0, "epoch": 0}, step=3)
    assert [row["train/loss"] for row in _rows(path)] == ["0", "1", "2", "9"]


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    CsvLogger(path).log_metrics({"train/loss": 1.0}, step=0)
    CsvLogger(path)
    assert _rows(path) == []
