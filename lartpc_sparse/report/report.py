"""The report of a run: metrics, predictions and training log in, one HTML file out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import Field

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.report.blocks import Section
from lartpc_sparse.report.displays import Display, make_displays
from lartpc_sparse.report.metrics_file import heads_of, read_metrics
from lartpc_sparse.report.page import Page, render_page, write_atomically
from lartpc_sparse.report.summary import facts, head_section, summary_section
from lartpc_sparse.report.training_log import read_training_log
from lartpc_sparse.report.training_section import training_section
from lartpc_sparse.schema import Config, UserError

__all__ = ["ReportConfig", "write_report"]


class ReportConfig(Config):
    """The HTML report."""

    output: str = Field("report.html", min_length=1, description="name of the file, in the folder of the run")
    displays: int = Field(
        12, ge=0, le=200, description="events to display: a quarter best, a quarter worst, the rest typical"
    )
    max_voxels_per_display: int = Field(
        20000, ge=100, description="voxels drawn of one event; of a larger one a random part, and it says so"
    )


def write_report(
    output: Path,
    *,
    title: str,
    metrics: Path | None,
    predictions: Path,
    training_log: Path | None,
    classes: Mapping[str, Iterable[str]] | None = None,
    config_yaml: str,
    config: ReportConfig,
) -> Path:
    """Writes the report, which replaces an existing one only when it is complete.

    Args:
        output: the HTML file to write (`config.output` is not read here: the caller knows the run's folder).
        title: name of the run.
        metrics: `metrics.json`; any value in it may be null or missing, its figure is then left out. None when the
            events have no truth to evaluate with: then it shows the events.
        predictions: `predictions.h5`, of which the displayed events are read.
        training_log: CSV log of the training; None when the run did not train.
        classes: names of the classes of each head, for the displays when there are no metrics.
        config_yaml: the resolved configuration, shown at the end.
        config: how many displays of which size.

    Returns:
        The file written.

    Raises:
        UserError: an input is missing or damaged, or the output is a folder.
    """
    if output.is_dir():
        raise UserError(f"{output} is a folder; report.output must name a file")
    found = {} if metrics is None else read_metrics(metrics)
    named = {name: {"classes": list(own)} for name, own in (classes or {}).items()}
    heads = heads_of(found)
    log = None if training_log is None else read_training_log(training_log)
    with PredictionFile(predictions) as file:
        displays = make_displays(file, heads or named, config.displays, config.max_voxels_per_display)
        note = _display_note(len(file), displays, config)
    sections: list[Section] = [summary_section(found), training_section(log)]
    sections += [head_section(name, head) for name, head in heads.items()]
    page = Page(title, facts(found), sections, displays, note, config_yaml)
    write_atomically(output, render_page(page))
    return output


def _display_note(events: int, displays: tuple[Display, ...], config: ReportConfig) -> str:
    if displays:
        return (
            f"{len(displays)} of {events} events, chosen by their score, never by hand: typical ones at evenly "
            "spaced quantiles, then the best and the worst. Drag to rotate, scroll to zoom: the neighbours follow. "
            "Click a class in the legend to hide it in both panels."
        )
    if config.displays == 0:
        return "No displays were asked for (report.displays is 0)."
    return "No event can be displayed: all were skipped or have fewer than 20 voxels."
