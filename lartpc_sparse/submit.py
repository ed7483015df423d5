"""Batch scripts for SLURM: `python -m lartpc_sparse.submit chain.yaml --template configs/slurm/one_gpu.sbatch`."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

from lartpc_sparse.command_parser import command_parser
from lartpc_sparse.schema import UserError

__all__ = ["batch_script", "main"]

_EPILOG = """\
examples:
  python -m lartpc_sparse.submit chain.yaml --template configs/slurm/one_gpu.sbatch
  python -m lartpc_sparse.submit chain.yaml --template configs/slurm/hopper.sbatch --sbatch partition=gpu time=8:00:00
  python -m lartpc_sparse.submit chain.yaml --template my.sbatch --submit -- --set train.epochs=30 --only train

What stands behind -- goes to lartpc_sparse.run. A template is a batch script with the words ${chain}, ${arguments},
${python}, ${name}, ${log_dir} and ${sbatch} (the options of --sbatch, which win over those above them); other words in
braces stay as they are."""

_NAMES = ("chain", "arguments", "python", "name", "log_dir", "sbatch")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the script, or submit it.

    Args:
        argv: arguments without the program's name; default those of the process.

    Returns:
        0 done, 2 the user has something to put right.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    own, passed = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    parser = command_parser("lartpc_sparse.submit", "Prints a SLURM batch script for a chain, or submits it.", _EPILOG)
    parser.add_argument("chain", type=Path, metavar="chain.yaml")
    parser.add_argument("--template", type=Path, required=True, help="a file, e.g. of configs/slurm/")
    parser.add_argument(
        "--sbatch", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="options of sbatch"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter on the nodes (default: this one)")
    parser.add_argument("--name", help="of the job (default: the chain's file name)")
    parser.add_argument("--log-dir", type=Path, default=Path("logs"), help="for the output of the job (default: logs)")
    parser.add_argument("--submit", action="store_true", help="hand it to sbatch instead of printing it")
    options = parser.parse_args(own)
    try:
        script = batch_script(
            options.template,
            options.chain,
            passed,
            sbatch=options.sbatch,
            python=options.python,
            name=options.name,
            log_dir=options.log_dir,
        )
        if not options.submit:
            sys.stdout.write(script)
            return 0
        options.log_dir.mkdir(parents=True, exist_ok=True)
        return _submit(script)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


def batch_script(
    template: Path,
    chain: Path,
    arguments: Sequence[str] = (),
    *,
    sbatch: Sequence[str] = (),
    python: str = sys.executable,
    name: str | None = None,
    log_dir: Path = Path("logs"),
) -> str:
    """A batch script; file names and arguments are quoted for the shell.

    Args:
        template: a batch script with words in braces.
        chain: the chain, which is loaded to find mistakes before the queue does.
        arguments: for `lartpc_sparse.run`.
        sbatch: options of sbatch as `name=value`, or `name` alone.
        python: interpreter on the nodes.
        name: of the job.
        log_dir: for the output of the job.

    Raises:
        UserError: a file that is not there, a mistake in the chain, a name that SLURM cannot take.
    """
    for path, what in ((template, "template"), (chain, "chain")):
        if not path.is_file():
            raise UserError(f"there is no {what} {path}")
    _check(chain, arguments)
    name = name or chain.stem
    for text in (name, str(log_dir), *sbatch):
        if re.search(r"[\n\r\s]", text):
            raise UserError(f"{text!r} must not contain spaces or line breaks: SLURM would take it for two options")
    values = {
        "chain": shlex.quote(str(chain.absolute())),
        "arguments": shlex.join(arguments),
        "python": shlex.quote(python),
        "name": name,
        "log_dir": str(log_dir.absolute()),
        "sbatch": "\n".join(f"#SBATCH --{option.removeprefix('--')}" for option in sbatch),
    }
    text = template.read_text(encoding="utf-8")
    return Template(text.replace("$", "$$").replace("$${", "${")).safe_substitute(values) if _known(text) else text


def _known(text: str) -> bool:
    unknown = sorted(set(re.findall(r"\$\{(\w+)\}", text)) - set(_NAMES))
    if unknown:
        raise UserError(f"the template has ${{{unknown[0]}}}; the words are {', '.join(_NAMES)} (write ${unknown[0]})")
    return True


def _check(chain: Path, arguments: Sequence[str]) -> None:
    """Load the chain with the values of --set."""
    from lartpc_sparse.config import ChainConfig
    from lartpc_sparse.variants import SIMULATION
    from lartpc_sparse.yaml_config import load_variants

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--set", nargs="+", action="extend", default=[], dest="overrides")
    load_variants(chain, ChainConfig, parser.parse_known_args(list(arguments))[0].overrides, SIMULATION)


def _submit(script: str) -> int:
    try:
        done = subprocess.run(["sbatch"], input=script, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError("there is no sbatch here; run this on a login node, or without --submit") from error
    return 0 if done.returncode == 0 else 2


if __name__ == "__main__":
    sys.exit(main())
