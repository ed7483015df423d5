"""The command `python -m lartpc_sparse.weights`: which weights there are, and how to make a file of one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from lartpc_sparse.command_line import exit_status
from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.weights.card import card_text, headline, size_text
from lartpc_sparse.weights.catalogue import card_of, find_weights, packaged_names
from lartpc_sparse.weights.description import describe
from lartpc_sparse.weights.export import export_weights

__all__ = ["main"]

_EXAMPLES = """\
examples:
  python -m lartpc_sparse.weights                        # the weights that come with the package
  python -m lartpc_sparse.weights semantic3d-small       # the model card
  python -m lartpc_sparse.weights --export runs/mine --name mine --output mine.safetensors
in a chain:
  weights: semantic3d-small                              # or mine.safetensors, or runs/mine"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status: 0 done, 2 something to put right, 130 interrupted.

    Raises:
        SystemExit: `--help` or arguments that cannot be used.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.export is not None and (options.name is None or options.output is None):
        parser.error("--export needs --name and --output")
    return exit_status(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.export is not None:
        _export(options)
    elif options.weights is not None:
        _show(options.weights)
    else:
        _list()


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "lartpc_sparse.weights",
        "Lists the trained weights of the package, shows the card of some, or makes a weights file.",
        _EXAMPLES,
    )
    parser.add_argument("weights", nargs="?", metavar="NAME", help="print the model card of these weights")
    parser.add_argument("--export", metavar="RUN", help="output_dir of a run (its best checkpoint), or a checkpoint")
    parser.add_argument("--name", help="of the exported weights, such as semantic3d-small")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the .safetensors file to write")
    parser.add_argument(
        "--storage",
        choices=("int12", "float16", "float32"),
        default="float16",
        help="of the kernels (default float16: half the size; int12: three quarters of that); float32 keeps every bit",
    )
    parser.add_argument("--trained-on", metavar="TEXT", help="one line about the training data")
    parser.add_argument(
        "--metrics", type=Path, metavar="FILE", help="metrics.json of these weights (default: the run's)"
    )
    return parser


def _export(options: argparse.Namespace) -> None:
    card = export_weights(
        options.export,
        options.name,
        options.output,
        storage=options.storage,
        trained_on=options.trained_on,
        metrics=options.metrics,
    )
    described = describe(options.output)
    sys.stdout.write(f"wrote {options.output}, {size_text(described)}, {headline(described)}\n")
    if not described.about.get("metrics"):
        sys.stdout.write("it says no metrics: run predict and evaluate with this checkpoint, then export again\n")
    sys.stdout.write(f"model card: {card}; write down in it what the weights were not tested on\n")


def _show(source: str) -> None:
    path = find_weights(source)
    card = card_of(path)
    if card.exists():
        sys.stdout.write(card.read_text(encoding="utf-8"))
    else:
        sys.stdout.write(card_text(describe(path), named=source))


def _list() -> None:
    names = packaged_names()
    if not names:
        sys.stdout.write("this version of lartpc_sparse comes without trained weights\n")
        return
    table = Table(Column("name", no_wrap=True), "task", "D", "size", "accuracy", "trained on")
    for name in names:
        described = describe(find_weights(name))
        about = described.about
        row = (about.get("task"), described.model.get("dim"), size_text(described), headline(described))
        table.add_row(name, *map(str, row), str(about.get("trained_on")))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
