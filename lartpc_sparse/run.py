"""The command line: `python -m lartpc_sparse.run chain.yaml`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.provenance import __version__

if TYPE_CHECKING:
    from lartpc_sparse.config import ChainConfig
    from lartpc_sparse.yaml_config import Variant

__all__ = ["main"]

_DESCRIPTION = """\
Runs the steps of a chain: simulate, train, predict, evaluate, report. A step whose section is absent from the
file is left out; a finished step is not repeated unless its inputs changed. A chain with a section for_each is
run once for each combination of its values."""

_EXAMPLES = """\
examples:
  python -m lartpc_sparse.run configs/demo.yaml
  python -m lartpc_sparse.run chain.yaml --set train.epochs=2 --set run.output_dir=runs/short
  python -m lartpc_sparse.run chain.yaml --set data.transforms.0.min_mev=0.1
  python -m lartpc_sparse.run chain.yaml --only predict evaluate
  python -m lartpc_sparse.run chain.yaml --only report --force
  python -m lartpc_sparse.run chain.yaml --variant plane=y seed=1
  python -m lartpc_sparse.run --schema > chain.schema.json

  python -m lartpc_sparse.run chain.yaml --dry-run
  torchrun --nproc-per-node 4 -m lartpc_sparse.run chain.yaml
  python -m lartpc_sparse.run chain.yaml --only predict --shard 3/8

exit status:
  0    the chain is done
  1    an error that nobody expected, with a traceback: please report it
  2    the configuration, an argument or an input file is wrong; the message says where
  3    another job is at work in the output directory
  4    the output cannot be written: disk full, quota, read-only, no permission
  5    the loss is not finite; the events of the batch are saved
  6    another rank of the job failed
  75   stopped by SIGTERM or SIGUSR1; the same command continues
  130  interrupted with Ctrl-C"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments without the program's name; default those of the process.

    Returns:
        The exit status, see `lartpc_sparse.jobs.EXIT_CODES`.

    Raises:
        SystemExit: `--help`, `--version` (status 0) or arguments that cannot be used (status 2).
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.chain is None and not arguments.schema:
        parser.error("name the chain file, before --set and --only: python -m lartpc_sparse.run chain.yaml ...")
    try:
        return _run(arguments, parser)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("lartpc_sparse.run", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("chain", nargs="?", metavar="chain.yaml", help="the chain to run")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        dest="overrides",
        metavar="a.b=c",
        help="replace a value of the chain; list entries by number, counted from 0",
    )
    parser.add_argument("--only", action="extend", nargs="+", default=[], metavar="STEP", help="run only these steps")
    parser.add_argument(
        "--variant",
        action="extend",
        nargs="+",
        default=[],
        dest="variants",
        metavar="NAME=VALUE",
        help="run only the variants of for_each with these values",
    )
    parser.add_argument(
        "--keep-going", action="store_true", help="run the other variants of for_each when one has failed"
    )
    parser.add_argument("--force", action="store_true", help="repeat steps that are finished")
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="with --only predict: predict share I (from 0) of N, for job arrays; a run without it joins them",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check configuration, files, disk and device, try the largest batch for time and memory, and stop",
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of a chain file and stop")
    parser.add_argument("--version", action="version", version=f"lartpc_sparse {__version__}")
    return parser


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    # OpenMP threads that spin long while they wait slow a shared machine down many times over, threads that sleep at
    # once slow an idle one down twofold: spin briefly. Read when torch loads.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # Imported here so that --help and a mistyped option answer at once, without loading torch.
    from lartpc_sparse.chain import STEPS
    from lartpc_sparse.config import ChainConfig
    from lartpc_sparse.jobs import RankError, Stopped, output_error
    from lartpc_sparse.schema import UserError
    from lartpc_sparse.yaml_config import file_schema

    if arguments.schema:
        sys.stdout.write(json.dumps(file_schema(ChainConfig), indent=2) + "\n")
        return 0
    unknown = [step for step in arguments.only if step not in STEPS]
    if unknown:
        parser.error(f"--only {unknown[0]}: no such step; valid: {', '.join(STEPS)}")
    try:
        _run_variants(arguments)
    except Stopped as stopped:
        sys.stderr.write(f"stopped by {stopped}; the same command continues\n")
        return stopped.exit_code
    except UserError as error:
        if not isinstance(error, RankError) or not error.explained:
            _complain(str(error))
        return error.exit_code
    except (OSError, RuntimeError) as error:
        found = output_error(error)
        if found is None:
            raise
        _complain(str(found))
        return found.exit_code
    return 0


def _run_variants(arguments: argparse.Namespace) -> None:
    """Loads the chain and runs it, or its variants."""
    from lartpc_sparse.chain import run_chain
    from lartpc_sparse.config import ChainConfig
    from lartpc_sparse.jobs import Shard, joined
    from lartpc_sparse.schema import UserError
    from lartpc_sparse.variants import SIMULATION, lay_out, run_study, select
    from lartpc_sparse.yaml_config import load_variants

    variants = load_variants(arguments.chain, ChainConfig, arguments.overrides, SIMULATION)
    chosen = {variant.name for variant in select(variants, arguments.variants)}
    devices = {variant.config.run.device for variant in variants}
    with joined("cpu" if devices == {"cpu"} else "auto") as ranks:
        if arguments.dry_run:
            ranks.on_first(lambda: _dry_run(arguments, variants, chosen))
        elif not variants[0].labels:
            options = {} if arguments.shard is None else {"shard": Shard.parse(arguments.shard)}
            run_chain(variants[0].config, only=tuple(arguments.only), force=arguments.force, **options)
        elif arguments.shard is not None:
            raise UserError("--shard is for one chain; choose a variant of for_each with --set instead")
        else:
            study = lay_out(variants)
            run_study(
                study,
                [variant for variant in study.variants if variant.name in chosen],
                chain=_text_of(arguments),
                only=tuple(arguments.only),
                force=arguments.force,
                keep_going=arguments.keep_going,
            )


def _dry_run(arguments: argparse.Namespace, variants: Sequence[Variant[ChainConfig]], chosen: set[str]) -> None:
    from lartpc_sparse.steps.dry_run import dry_run
    from lartpc_sparse.variants import lay_out

    study = lay_out(variants) if variants[0].labels else None
    for variant in variants if study is None else study.variants:
        if variant.name in chosen:
            dry_run(variant.config, tuple(arguments.only), None if study is None else study.simulation)


def _text_of(arguments: argparse.Namespace) -> str:
    """The chain file, and what the command line changed."""
    changes = "".join(f"# --set {override}\n" for override in arguments.overrides)
    return Path(arguments.chain).read_text(encoding="utf-8-sig") + changes


def _complain(message: str) -> None:
    """Prints a message on stderr, in the user's own words: nothing in it is taken for markup."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
