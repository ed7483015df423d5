"""Runs the variants of a chain one after the other, what they share first, and sums them up."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence

from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.markup import escape

from lartpc_sparse.chain import run_chain
from lartpc_sparse.config import ChainConfig
from lartpc_sparse.jobs import find_ranks, launched
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps import RunFolder
from lartpc_sparse.variants.layout import Study
from lartpc_sparse.variants.summary import compare, summary_table, write_summary
from lartpc_sparse.yaml_config import Variant

__all__ = ["run_study"]


def run_study(
    study: Study,
    chosen: Sequence[Variant[ChainConfig]],
    *,
    chain: str,
    only: Sequence[str] = (),
    force: bool = False,
    keep_going: bool = False,
) -> None:
    """Run the shared simulation and then every chosen variant as a chain of its own.

    Steps that are done are not repeated, so that the same command continues after a kill. The summary is written anew
    after each variant, over all variants of the study.

    Args:
        study: all variants.
        chosen: those to run.
        chain: text of the chain file, for the summary.
        only: run these steps alone; empty: all.
        force: repeat steps that are done.
        keep_going: run the other variants when one has failed.

    Raises:
        UserError: the simulation or a variant failed; says how many are done. Any other error of a variant is raised
            as it is, with `keep_going` after the others have run.
    """
    if not launched() and getattr(rank_zero_only, "rank", 0) != 0:  # started by Lightning for one of several GPUs
        _join(chosen, only)
        return
    console = Console(quiet=not find_ranks().first)
    steps = tuple(only)
    if study.simulation is not None:
        if not only or "simulate" in only:
            _head(console, f"for all {len(study.variants)} variants")
            run_chain(study.simulation, only=("simulate",), force=force)
        steps = tuple(step for step in only if step != "simulate")
    if only and not steps:
        return
    _run_all(study, chosen, chain=chain, steps=steps, force=force, keep_going=keep_going)


def _run_all(
    study: Study,
    chosen: Sequence[Variant[ChainConfig]],
    *,
    chain: str,
    steps: Sequence[str],
    force: bool,
    keep_going: bool,
) -> None:
    ranks = find_ranks()
    console = Console(quiet=not ranks.first)
    failures: dict[str, Exception] = {}
    for number, variant in enumerate(chosen, start=1):
        _head(console, f"variant {number} of {len(chosen)}: {variant.name}")
        try:
            run_chain(variant.config, only=steps, force=force)
        except Exception as error:
            failures[variant.name] = error
            if keep_going:
                _tell(console, variant.name, error)
        last = number == len(chosen) or (bool(failures) and not keep_going)
        if ranks.first:
            _sum_up(study, failures, chain, console if last else None)
        if last and failures:
            _raise(failures, chosen[:number], chosen)
        if last:
            return


def _join(chosen: Sequence[Variant[ChainConfig]], only: Sequence[str]) -> None:
    """What the further processes of a training on several devices do: join the training that began last."""
    running = [
        (str(train.get("created")), variant.config)
        for variant in chosen
        if (train := RunFolder(variant.config).steps().get("train", {})).get("status") == "running"
    ]
    if running and (not only or "train" in only):
        run_chain(max(running, key=lambda found: found[0])[1], only=("train",))


def _head(console: Console, text: str) -> None:
    console.rule(escape(text), align="left")


def _tell(console: Console, name: str, error: Exception) -> None:
    if not isinstance(error, UserError):
        traceback.print_exception(error, file=sys.stderr)
    console.print(f"{name} failed: {error}", style="red", markup=False, highlight=False, soft_wrap=True)


def _sum_up(study: Study, failures: Mapping[str, Exception], chain: str, console: Console | None) -> None:
    """The summary on disk and, where there is one, on the terminal; nothing where no variant is evaluated."""
    if all(variant.config.evaluate is None for variant in study.variants):
        return
    texts = {name: str(error) or type(error).__name__ for name, error in failures.items()}
    runs = compare(study, texts)
    page = write_summary(study, runs, chain)
    if console is None:
        return
    console.print(summary_table(study, runs))
    console.print(f"summary: {page.resolve()}", markup=False, highlight=False, soft_wrap=True)


def _raise(
    failures: Mapping[str, Exception],
    tried: Sequence[Variant[ChainConfig]],
    chosen: Sequence[Variant[ChainConfig]],
) -> None:
    """One error for all that went wrong."""
    bug = next((error for error in failures.values() if not isinstance(error, UserError)), None)
    if bug is not None:
        raise bug
    done, left = len(tried) - len(failures), len(chosen) - len(tried)
    counts = f"{len(failures)} of {len(chosen)} variants failed, {done} done"
    if left:
        counts += f", {left} not tried (--keep-going tries them)"
    lines = [f"  {name}: {error}" for name, error in failures.items()]
    # Its class carries the exit status: a full disk is no wrong configuration.
    kind = type(next(error for error in failures.values() if isinstance(error, UserError)))
    raise kind("\n".join([f"{counts}:", *lines, "the same command continues where each variant stopped"]))
