"""The variants side by side: summary.html, summary.json, summary.csv, and a table for the terminal."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from rich.markup import escape
from rich.table import Table

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.provenance import provenance
from lartpc_sparse.report.compared import Compared, grouped, keys_of
from lartpc_sparse.report.comparison import short_title, with_spread, write_comparison
from lartpc_sparse.report.headline_numbers import HeadlineNumber, headline_numbers
from lartpc_sparse.report.metrics_file import read_metrics
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.run_folder import RunFolder, write_json, write_text
from lartpc_sparse.variants.layout import Study
from lartpc_sparse.yaml_config import Variant, dump_config

__all__ = ["SUMMARY", "compare", "summary_table", "write_summary"]

SUMMARY = "summary"
"""Name of the files without their endings."""


def compare(study: Study, failures: Mapping[str, str]) -> tuple[Compared, ...]:
    """What there is of each variant now.

    Args:
        study: all variants.
        failures: name of a variant to what went wrong.
    """
    return tuple(_compared(study.folder, variant, failures.get(variant.name)) for variant in study.variants)


def write_summary(study: Study, runs: tuple[Compared, ...], chain: str) -> Path:
    """Writes the three files into the common folder; returns the page.

    Args:
        study: all variants.
        runs: from `compare`.
        chain: text of the chain file.
    """
    write_json(study.folder / f"{SUMMARY}.json", _as_json(study, runs))
    write_text(study.folder / f"{SUMMARY}.csv", _as_csv(study, runs))
    made = provenance()
    facts = (
        ("lartpc_sparse", made["lartpc_sparse_version"]),
        ("git", made["git_hash"]),
        ("made", made["created"].replace("T", " ").replace("+00:00", " UTC")),
        ("variants", str(len(runs))),
        ("done", str(sum(run.status == "done" for run in runs))),
    )
    return write_comparison(study.folder / f"{SUMMARY}.html", title=study.name, runs=runs, facts=facts, chain=chain)


def summary_table(study: Study, runs: tuple[Compared, ...]) -> Table:
    """The main numbers for the terminal: one row a variant, or one a group when a seed varies."""
    keys = keys_of(runs, main=True)
    groups = grouped(runs)
    means = len(groups) < len(runs)
    table = Table(title=escape(study.name) + (": mean ± standard deviation over seed" if means else ""))
    names = [name for name in study.variables if not means or name in groups[0].labels]
    for name in names or ["variant"]:
        table.add_column(name)
    table.add_column("done" if means else "status")
    for key in keys:
        table.add_column(escape(short_title(key, keys)), justify="right")
    for group in groups:
        statuses = [run.status for run in group.members]
        state = f"{statuses.count('done')}/{len(statuses)}" if means else statuses[0].partition(":")[0]
        labels = [
            group.labels.get(name) or group.members[0].labels.get(name, group.name) for name in names or ["variant"]
        ]
        table.add_row(
            *map(escape, labels), state, *(with_spread(group, key, 3) if group.values(key) else "-" for key in keys)
        )
    return table


def _compared(root: Path, variant: Variant[ChainConfig], failure: str | None) -> Compared:
    folder = RunFolder(variant.config)
    status = f"failed: {failure}" if failure is not None else _status(variant.config, folder)
    numbers: tuple[HeadlineNumber, ...] = ()
    try:
        numbers = headline_numbers(read_metrics(folder.metrics)) if folder.metrics.exists() else ()
    except UserError as error:
        status = f"failed: {error}"
    report = quote(Path(os.path.relpath(folder.report, root)).as_posix()) if folder.report.exists() else None
    return Compared(variant.labels, status, numbers, report)


def _status(config: ChainConfig, folder: RunFolder) -> str:
    """`done`, `not run`, `unfinished`, or `made with another configuration`."""
    try:
        steps = folder.steps()
    except UserError as error:
        return f"failed: {error}"
    states = [steps.get(step, {}).get("status") for step in config.steps]
    if not any(states):
        return "not run"
    if not all(state == "done" for state in states):
        return "unfinished"
    written = folder.config_file.read_text(encoding="utf-8") if folder.config_file.exists() else ""
    same = _without_machine(written) == _without_machine(dump_config(config))
    return "done" if same else "made with another configuration"


def _without_machine(config_yaml: str) -> Any:
    """What the results follow from: a resolved configuration without what it ran on."""
    values = yaml.safe_load(config_yaml)
    if not isinstance(values, dict):
        return values
    machine = {"run": {"device", "engine", "threads"}, "data": {"workers"}}
    for section, names in machine.items():
        part = values.get(section)
        if isinstance(part, dict):
            values[section] = {name: value for name, value in part.items() if name not in names}
    return values


def _as_json(study: Study, runs: tuple[Compared, ...]) -> dict[str, Any]:
    folders = {variant.name: str(variant.config.run.output_dir) for variant in study.variants}
    return {
        **provenance(),
        "name": study.name,
        "variants": [
            {
                "labels": dict(run.labels),
                "status": run.status,
                "folder": folders[run.name],
                "report": run.report,
                "numbers": {number.key: number.value for number in run.numbers},
            }
            for run in runs
        ],
        "groups": [
            {
                "labels": dict(group.labels),
                "numbers": {
                    key: {"runs": len(group.values(key)), "mean": group.mean(key), "spread": group.spread(key)}
                    for key in keys_of(group.members)
                },
            }
            for group in grouped(runs)
        ],
    }


def _as_csv(study: Study, runs: tuple[Compared, ...]) -> str:
    keys = keys_of(runs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*study.variables, "status", "folder", *keys])
    for run, variant in zip(runs, study.variants, strict=True):
        numbers = [run.value(key) for key in keys]
        writer.writerow([*run.labels.values(), run.status, variant.config.run.output_dir, *numbers])
    return text.getvalue()
