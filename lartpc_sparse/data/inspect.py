"""The command `python -m lartpc_sparse.data.inspect FILE...`: what event files hold."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lartpc_sparse.command_line import exit_status
from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.convert import reader_config
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.event_page import write_event_page
from lartpc_sparse.data.readers import Reader
from lartpc_sparse.data.readers.files import resolve_files
from lartpc_sparse.data.summary import summarise
from lartpc_sparse.schema import UserError

__all__ = ["inspect_files", "main"]

ATTRIBUTES = ("format_version", "origin", "created", "git_hash", "lartpc_sparse_version")
"""Attributes of a file that the table shows."""

_EXAMPLES = """\
examples:
  python -m lartpc_sparse.data.inspect train/*.h5
  python -m lartpc_sparse.data.inspect train.h5 --json
  python -m lartpc_sparse.data.inspect train.h5 --display 0,5,12 --html events.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status: 0 done, 2 something to put right, 130 interrupted.

    Raises:
        SystemExit: `--help` or arguments that cannot be used.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    options = _parser().parse_args(argv)
    return exit_status(lambda: _run(options))


def inspect_files(
    files: Sequence[str], kind: str | None, settings: Sequence[str], max_events: int
) -> tuple[dict[str, Any], Reader]:
    """Figures of files of one kind, and their reader.

    Raises:
        UserError: files that cannot be read, or of different kinds.
    """
    paths = resolve_files(files)
    config = reader_config(paths, kind, settings)
    reader = config.build()
    found = {"kind": config.kind, "version": _version(reader), "files": list(reader.files), **_written(paths[0])}
    return {**found, **summarise(reader, max_events)}, reader


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "lartpc_sparse.data.inspect",
        "Says what event files hold; files that do not fit together one after the other.",
        _EXAMPLES,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, patterns, or list files (@files.txt)")
    parser.add_argument("--from", dest="kind", help="kind of reader (default: told from the files)")
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="reader.key=value", help="option of the reader"
    )
    parser.add_argument("--max-events", type=int, default=500, help="of more events a random part is read (500)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--display", metavar="0,5,12", help="numbers of events to display")
    parser.add_argument("--html", type=Path, metavar="OUT", help="where to write the displays (events.html)")
    parser.add_argument("--max-voxels", type=int, default=50_000, help="voxels drawn of one event (50000)")
    return parser


def _run(options: argparse.Namespace) -> None:
    if min(options.max_events, options.max_voxels) < 1:
        raise UserError("--max-events and --max-voxels must be at least 1")
    errors: list[UserError] = []
    groups = _by_kind(options, errors)
    wanted = None if options.display is None and options.html is None else _numbers(options.display or "0")
    if wanted is not None and len(groups) > 1:
        raise UserError(f"--display shows files of one kind, these are {', '.join(groups)}")
    results = []
    for kind, files in groups.items():
        for found, reader in _inspect(files, kind, options, errors):
            results.append(found)
            if not options.json:
                _print(found)
            if wanted is not None:
                _display(reader, wanted, options)
    if options.json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
    for error in errors[:-1]:
        logging.error("%s", error)
    if errors:
        raise errors[-1]


def _by_kind(options: argparse.Namespace, errors: list[UserError]) -> dict[str, list[str]]:
    """Files by kind; errors of files of no kind are put aside, so that the others are shown all the same."""
    groups: dict[str, list[str]] = {}
    for path in resolve_files(options.files):
        try:
            groups.setdefault(options.kind or detect_format(path), []).append(path)
        except UserError as error:
            errors.append(error)
    return groups


def _inspect(
    files: Sequence[str], kind: str, options: argparse.Namespace, errors: list[UserError]
) -> Iterator[tuple[dict[str, Any], Reader]]:
    """All files of a kind together; where they do not fit together, or one cannot be read, each by itself."""
    try:
        together = inspect_files(files, kind, options.settings, options.max_events)
    except UserError as error:
        if len(files) == 1 or options.display is not None or options.html is not None:
            errors.append(error)
            return
        logging.warning("%s; so the files are shown one by one", error)
        for path in files:
            yield from _inspect([path], kind, options, errors)
    else:
        yield together


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(f"--display {text}: write event numbers with commas between, 0,5,12") from error


def _display(reader: Reader, wanted: Sequence[int], options: argparse.Namespace) -> None:
    outside = [number for number in wanted if not 0 <= number < len(reader)]
    if outside:
        raise UserError(f"--display {outside[0]}: there are the events 0 to {len(reader) - 1}")
    output = options.html or Path("events.html")
    title = f"{len(wanted)} of {len(reader)} events of {Path(reader.files[0]).name}"
    write_event_page(output, title, [reader.read(number) for number in wanted], options.max_voxels)
    sys.stderr.write(f"displays: {output}\n")


def _version(reader: Reader) -> str:
    return str(getattr(reader, "version", "") or "")


def _written(path: str) -> dict[str, Any]:
    """The attributes of a file, as far as they are plain values."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            values = {name: as_text(value) for name, value in file.attrs.items()}
            found = {name: value for name, value in values.items() if isinstance(value, str) and len(value) < 200}
            found |= {name: value.item() for name, value in values.items() if getattr(value, "ndim", 1) == 0}
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        found = {}
    return {"attributes": {name: value for name, value in found.items() if value == value}}  # noqa: PLR0124  no NaN


def _print(found: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text, style in _rows(found):
        table.add_row(Text(name), Text(text), style=style)  # Text: nothing in a file is taken for markup
    Console().print(table, "")


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, text and style of each line."""
    files = found["files"]
    plain = [("file", files[0] if len(files) == 1 else f"{len(files)} files, {files[0]} to {files[-1]}")]
    plain += [("format", f"{found['kind']} {found['version']}".strip())]
    plain += [(f"  {name}", str(found["attributes"][name])) for name in ATTRIBUTES if name in found["attributes"]]
    part = "" if found["looked_at"] == found["events"] else f" ({found['looked_at']:,} of them read, a random choice)"
    plain += [("events", f"{found['events']:,}{part}")]
    plain += [("voxels", f"{found['voxels']:,}, {found['empty_events']:,} events without")]
    plain += [("voxels per event", _spread(found["voxels_per_event"], ",.0f"))]
    voxel = "" if found["voxel_size_mm"] is None else f", voxels of {found['voxel_size_mm']:g} mm"
    plain += [("image", " x ".join(map(str, found["image_size"])) + voxel)]
    if found["occupied"]:
        low, high = found["occupied"]
        plain += [("occupied", " x ".join(f"{a}..{b}" for a, b in zip(low, high, strict=True)))]
    plain += [("energy per voxel", _spread(found["energy"], ".4g"))]
    plain += [("energy per event", _spread(found["event_energy"], ",.1f"))]
    plain += [(f"class {name}", f"{100 * fraction:.2f} %") for name, fraction in found["classes"].items()]
    plain += [(f"label {name}", f"{low:g}..{high:g}") for name, (low, high) in found["labels"].items()]
    plain += [("particles per event", _spread(found["particles_per_event"], ",.0f"))]
    plain += [("particle columns", ", ".join(found["particle_columns"]) or "none")]
    yield from ((name, text, "") for name, text in plain)
    yield from (("odd", f"{number:,} {name}", "yellow") for name, number in found["oddities"].items())
    bad = found["bad_events"]
    if bad["number"]:
        yield "bad", f"{bad['number']:,} events cannot be used", "red"
        yield from (("", reason, "red") for reason in bad["first"])


def _spread(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items()) or "none"


if __name__ == "__main__":
    sys.exit(main())
