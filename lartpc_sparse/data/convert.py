"""The command `python -m lartpc_sparse.data.convert IN... OUT --to voxels`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from lartpc_sparse.command_line import exit_status
from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.data.compare import compare_readers
from lartpc_sparse.data.conversion import Conversion, convert
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.pipeline import ReaderField
from lartpc_sparse.data.readers import Reader, ReaderConfig
from lartpc_sparse.data.readers.files import resolve_files
from lartpc_sparse.data.single_particles import SingleParticles
from lartpc_sparse.data.voxel_column import Compression
from lartpc_sparse.data.writers import READER_KINDS, WRITERS
from lartpc_sparse.jobs import stopping_at_once
from lartpc_sparse.schema import BadEventError, UserError

logger = logging.getLogger(__name__)

__all__ = ["main", "reader_config"]

_EXAMPLES = """\
examples:
  python -m lartpc_sparse.data.convert train/*.h5 train_flat.h5 --to voxels --check
  python -m lartpc_sparse.data.convert @files.txt out.h5 --to voxels --select 0:10000 --on-bad-event skip
  python -m lartpc_sparse.data.convert old.root out.h5 --to larcv3 --from larcv_root --set reader.limit=100
  python -m lartpc_sparse.data.convert events.h5 tracks.h5 --to voxels --alone track HIP MIP    # one track an event

Interrupted or killed, the same command goes on where it stopped. The output appears when it is complete.

exit status:
  0    done
  1    an error that nobody expected, with a traceback: please report it
  2    something to put right, or the check found a difference
  4    the output cannot be written: disk full, quota, read-only, no permission
  75   stopped by SIGTERM or SIGUSR1; the same command continues
  130  interrupted with Ctrl-C"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status.

    Raises:
        SystemExit: `--help` or arguments that cannot be used.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    options = _parser().parse_args(argv)

    def run() -> None:
        with stopping_at_once():
            _run(options)

    return exit_status(run, interrupted="interrupted; the same command goes on where it stopped")


def reader_config(files: Sequence[str], kind: str | None, settings: Sequence[str]) -> ReaderConfig:
    """The configuration of a reader from words of a command line.

    Args:
        files: paths, patterns or list files.
        kind: of the reader; None: told from the first file, and the others must agree.
        settings: `reader.key=value`, the value in YAML; `reader.` may be left out.

    Raises:
        UserError: files of different kinds, or a setting that the reader does not take.
    """
    paths = resolve_files(files)
    if kind is None:
        kinds = {path: detect_format(path) for path in (paths[0], paths[-1])}
        if len(set(kinds.values())) > 1:
            listed = ", ".join(f"{path} is {found}" for path, found in kinds.items())
            raise UserError(f"files of different kinds: {listed}; convert or look at them separately")
        kind = kinds[paths[0]]
    values: dict[str, Any] = {"kind": kind, "files": paths}
    for setting in settings:
        name, sign, text = setting.removeprefix("reader.").partition("=")
        if not sign:
            raise UserError(f"--set {setting}: write reader.key=value")
        values[name] = yaml.safe_load(text)
    try:
        config: ReaderConfig = TypeAdapter(ReaderField).validate_python(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, found['loc'])) or kind}: {found['msg']}" for found in error.errors()]
        raise UserError(f"reader {kind}: {'; '.join(problems)}") from error
    return config


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("lartpc_sparse.data.convert", "Converts event files.", _EXAMPLES)
    parser.add_argument("input", nargs="+", metavar="IN", help="files, patterns, or list files (@files.txt)")
    parser.add_argument("output", metavar="OUT", type=Path, help="the file to write")
    parser.add_argument("--to", required=True, choices=sorted(WRITERS), help="format of OUT")
    parser.add_argument(
        "--compression",
        choices=get_args(Compression),
        help="of voxels (default lz4); lz4hc: 6 %% smaller, slower to write; none: several times the bytes, read "
        "several times as fast",
    )
    parser.add_argument("--from", dest="kind", help="kind of reader for IN (default: told from the files)")
    parser.add_argument("--select", metavar="A:B", help="only the events A..B-1 of all files together")
    parser.add_argument(
        "--alone", nargs="+", metavar="CLASS", help="every true particle of these classes becomes an event of its own"
    )
    parser.add_argument(
        "--min-voxels",
        type=int,
        default=20,
        help="with --alone: of a particle (default 20); the particle table of its event stays whole",
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="reader.key=value", help="option of the reader"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare OUT with IN, voxel by voxel; only that if OUT is there",
    )
    parser.add_argument(
        "--on-bad-event",
        choices=("fail", "skip"),
        default="fail",
        help="skip: it becomes empty (with --alone: its particles are left out, and counted in OUT)",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it holds something else")
    parser.add_argument("--part-events", type=int, default=2000, help="events a resumable part (default 2000)")
    return parser


def _run(options: argparse.Namespace) -> None:
    settings = list(options.settings)
    if options.select is not None:
        first, sign, stop = options.select.partition(":")
        if not (sign and first.isdigit() and stop.isdigit()):
            raise UserError(f"--select {options.select}: write it as A:B, two whole numbers")
        settings.append(f"select=[{first}, {stop}]")
    if options.part_events < 1:
        raise UserError("--part-events must be at least 1")
    if options.compression is not None and options.to != "voxels":
        raise UserError(f"--compression goes with --to voxels, not with --to {options.to}; leave it out")
    config = reader_config(options.input, options.kind, settings)
    reader: Reader = config.build()
    plan = config.model_dump(mode="json", exclude={"files"})
    attributes: dict[str, int] = {}
    if options.alone:
        alone = _alone(reader, options)
        attributes = {"source_events": len(reader), "source_events_skipped": alone.bad_events}
        reader = alone
        plan["alone"] = {"classes": list(options.alone), "min_voxels": options.min_voxels}
    if options.output.exists() and any(options.output.samefile(path) for path in reader.files):
        raise UserError(f"{options.output} is one of the files to read; name another output")
    writer = {} if options.compression in (None, "lz4") else {"compression": options.compression}
    conversion = Conversion(
        options.output, options.to, plan, options.on_bad_event, options.part_events, writer, attributes
    )
    if not (options.check and options.output.exists() and not options.force):
        convert(reader, conversion, force=options.force)
    if options.check:
        _check(reader, options.output, options.to)


def _alone(reader: Reader, options: argparse.Namespace) -> SingleParticles:
    try:
        found = SingleParticles(reader, options.alone, options.min_voxels, skip_bad=options.on_bad_event == "skip")
    except BadEventError as error:
        raise BadEventError(f"{error}; with --on-bad-event skip its particles are left out") from error
    if found.bad_events:
        logger.warning("%d of %d events were skipped, with all of their particles", found.bad_events, len(reader))
    if not len(found):
        raise UserError(f"no particle of {', '.join(options.alone)} has {options.min_voxels} voxels or more")
    return found


def _check(reader: Reader, output: Path, to: str) -> None:
    copy = reader_config((str(output),), READER_KINDS[to], ()).build()
    found = compare_readers(reader, copy)
    if found is not None:
        raise UserError(f"{output} differs from its input: {found}")
    sys.stderr.write(f"{output}: all {len(copy)} events are equal to those of the input\n")


if __name__ == "__main__":
    sys.exit(main())
