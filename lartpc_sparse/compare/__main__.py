"""The command `python -m lartpc_sparse.compare nominal.h5 variation.h5 ...`: the detector-variation table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lartpc_sparse.command_line import exit_status
from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.compare.comparison import compare_predictions
from lartpc_sparse.compare.output import comparison_table, write_comparison
from lartpc_sparse.heads.decisions import DecisionConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.yaml_config import load_config

__all__ = ["main"]

_EXAMPLES = """\
examples:
  python -m lartpc_sparse.compare nominal/predictions.h5 gain_up/predictions.h5 noise_up/predictions.h5
  python -m lartpc_sparse.compare nominal.h5 a.h5 b.h5 --names gain_up noise_up --output variations
  python -m lartpc_sparse.compare nominal.h5 a.h5 --names gain_up --decisions cuts.yaml

cuts.yaml has the keys of `decisions` of a semantic head, e.g.
  cluster_fraction: 0.3
  clusters: {kind: truth}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status: 0 done, 2 something to put right, 130 interrupted.

    Raises:
        SystemExit: `--help` or arguments that cannot be used.
    """
    options = _parser().parse_args(argv)
    return exit_status(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "lartpc_sparse.compare",
        "Compares predictions of a nominal sample with those of detector variations of the same events.",
        _EXAMPLES,
    )
    parser.add_argument("nominal", type=Path, help="predictions of the nominal sample")
    parser.add_argument("variations", type=Path, nargs="+", metavar="variation", help="predictions of a variation")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the variations (default: of their folders)")
    parser.add_argument("--output", type=Path, metavar="PATH", help="write PATH.json and PATH.html")
    parser.add_argument("--head", help="name of the semantic head (default: the one in the file)")
    parser.add_argument(
        "--decisions", type=Path, metavar="cuts.yaml", help="other cuts than those of the nominal predictions"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over events (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    return parser


def _run(options: argparse.Namespace) -> None:
    if options.resamples < 1 or options.seed < 0:
        raise UserError("--resamples must be at least 1, --seed at least 0")
    comparison = compare_predictions(
        options.nominal,
        options.variations,
        options.names,
        head=options.head,
        decisions=None if options.decisions is None else load_config(options.decisions, DecisionConfig),
        resamples=options.resamples,
        seed=options.seed,
    )
    console, table = Console(), comparison_table(comparison)
    # Cut off cells would be worse than long lines: a file keeps them, and a terminal breaks them.
    console.width = max(console.width, console.measure(table, options=console.options.update(max_width=1000)).maximum)
    console.print(table)
    if options.output is not None:
        for path in write_comparison(comparison, options.output):
            sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    sys.exit(main())
