"""`python -m benchmarks.inpainting`: fixed gaps in the packaged test events, network beside baselines."""

from __future__ import annotations

import json
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.inpainting.broken import measure_broken
from benchmarks.inpainting.candidates import measure_candidates
from benchmarks.inpainting.ceiling import measure_ceiling
from benchmarks.inpainting.figure import draw_curves
from benchmarks.inpainting.gaps import measure_gaps, measure_tracks
from benchmarks.inpainting.options import parse
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write what the command line asks for."""
    options = parse(__doc__.splitlines()[0], arguments)
    torch.set_num_threads(options.threads)
    console = Console(width=130)
    measures = {
        "gaps": measure_gaps,
        "tracks": measure_tracks,
        "ceiling": measure_ceiling,
        "broken": measure_broken,
        "candidates": measure_candidates,
    }
    tables = {"gaps": _gaps, "tracks": _gaps, "ceiling": _ceiling, "broken": _broken, "candidates": _candidates}
    figures = {"gaps": "all voxels in the gaps", "tracks": "tracks alone"}
    options.out.mkdir(parents=True, exist_ok=True)
    for name, measure in measures.items():
        if options.what not in ("all", name):
            continue
        try:
            found = measure(options)
        except UserError as error:
            raise SystemExit(f"error: {error}") from error
        about = {key: str(value) for key, value in vars(options).items() if key not in ("what", "out")}
        path = options.out / f"{name}.json"
        path.write_text(json.dumps({**provenance(), "options": about, "results": found}, indent=1) + "\n")
        for table in tables[name](found):
            console.print(table)
        if name in figures:
            draw_curves(found, figures[name], options.out / f"{name}.png")
        console.print(f"wrote {path}", highlight=False)


def _number(value: Any, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _gaps(found: dict[str, Any]) -> list[Table]:
    tables = []
    for title, what in (("all voxels in the gaps", "all"), ("tracks that cross the gap", "tracks")):
        table = Table("width", "filled with", "precision", "recall", "F1", "IoU", "F1 +-1", title=title)
        for column in ("charge median", "68 % half width", "total", "Chamfer", "earth mover"):
            table.add_column(column, justify="right")
        for width, metrics in found.items():
            methods = {"network": metrics, **metrics["baselines"]}
            if what == "tracks":
                methods = metrics.get("tracks", {}).get("methods", {})
            for name, scores in methods.items():
                chamfer = scores["chamfer"]
                row = [scores[key] for key in ("precision", "recall", "f1", "iou")] + [scores["tolerant"]["f1"]]
                row += [scores["charge"][key] for key in ("median", "half_width_68", "total_ratio")]
                row += [chamfer["mean"] if isinstance(chamfer, dict) else chamfer, scores.get("earth_mover")]
                table.add_row(width, name, *map(_number, row))
            table.add_section()
        tables.append(table)
    return tables


def _broken(found: dict[str, Any]) -> list[Table]:
    table = Table("width", "filled with", "tracks", "broken", "+-", "efficiency", "purity", title="tracks cut by a gap")
    for width, methods in found.items():
        for name, scores in methods.items():
            row = [scores[key] for key in ("broken", "broken_error", "efficiency", "purity")]
            table.add_row(width, name, str(scores["tracks"]), *map(_number, row))
        table.add_section()
    return [table]


def _ceiling(found: dict[str, Any]) -> list[Table]:
    names = ("f1", "tolerant_f1", "charge_half_width_68", "stretches")
    table = Table("width", *names, title="estimated ceiling, single tracks")
    for width, values in found.items():
        table.add_row(width, *(_number(values[name]) for name in names))
    return [table]


def _candidates(found: dict[str, Any]) -> list[Table]:
    table = Table("per event", "dense", "grown", title="candidates in the gaps of a DUNE 2x2")
    for name in ("candidates", "recall_all", "recall_track", "seconds", "peak_mib", "network_input_mib"):
        digits = 0 if name == "candidates" else 3
        table.add_row(name, *(_number(found[kind][name], digits) for kind in ("dense", "grown")))
    return [table]


if __name__ == "__main__":
    main()
