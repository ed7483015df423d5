"""Weights to hand on, made of a checkpoint: only what is needed to use them and to know what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.card import card_text
from lartpc_sparse.weights.catalogue import card_of, find_weights, packaged_names, sha256_of
from lartpc_sparse.weights.description import Description, describe, read_state
from lartpc_sparse.weights.run_settings import model_as_used
from lartpc_sparse.weights.weights_file import SUFFIX, Storage, write_weights

__all__ = ["export_weights"]


def export_weights(
    source: str,
    name: str,
    output: Path,
    *,
    storage: Storage = "float16",
    trained_on: str | None = None,
    metrics: Path | None = None,
) -> Path:
    """Write a weights file and, if there is none yet, its model card beside it.

    Paths of the training data do not go into the file.

    Args:
        source: output_dir of a run, a checkpoint, or another weights file. Of a run that trained nothing, its
            `weights` with its options of decoding, thresholds and metrics.
        name: of the weights.
        output: the file to write.
        storage: see `write_weights`.
        trained_on: one line about the training data; None: the kind of its reader.
        metrics: a `metrics.json` of these weights; None: that of the run, if it is of these weights.

    Returns:
        the model card.

    Raises:
        UserError: the source cannot be used, the name or the output has a wrong form, the metrics are of other weights.
    """
    if output.suffix != SUFFIX:
        raise UserError(f"--output {output}: the name of a weights file ends in {SUFFIX}")
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"--name {name}: use letters, digits, hyphens and underscores")
    chain = _chain_without_training(Path(source))
    path = find_weights(source if chain is None else chain["weights"])
    folder = path.parent.parent if chain is None else Path(source)
    described = describe(path)
    about = _about(described, trained_on) | {"name": name, "exported": provenance()}
    scores = _metrics(path, folder / "metrics.json", metrics)
    if scores:
        about["metrics"] = scores
    state = read_state(path)
    model = model_as_used(path, described.model) if chain is None else model_as_used(path, chain["model"], folder)
    about["parameters"] = sum(value.numel() for value in state.values() if value.is_floating_point())
    about |= {"storage": storage, "model": model, "transforms": list(described.transforms)}
    write_weights(output, state, about, storage)
    card = card_of(output)
    if not card.exists():
        card.write_text(card_text(describe(output), named=name), encoding="utf-8")
    return card


def _chain_without_training(run: Path) -> dict[str, Any] | None:
    """The resolved chain of a run that used other weights and trained none; None: `run` is something else."""
    if (run / "training").exists() or not (run / "config.yaml").is_file():
        return None
    try:
        chain = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{run / 'config.yaml'} cannot be read ({error}); run the chain again") from error
    usable = isinstance(chain, dict) and chain.get("weights") and chain.get("model")
    return chain if usable else None


def _about(described: Description, trained_on: str | None) -> dict[str, Any]:
    """Task and training; of a checkpoint without anything that names the user's files."""
    about = dict(described.about)
    chain = about.pop("chain", None)
    if chain is not None:
        data, train = chain.get("data", {}), chain.get("train") or {}
        about = {
            "trained_with": {name: about.get(name) for name in ("lartpc_sparse_version", "git_hash", "created")},
            "training": {
                **train,
                "epochs_done": about.get("epoch", -1) + 1,
                "seed": chain.get("run", {}).get("seed"),
                **{name: data.get(name) for name in ("augment", "batch")},
            },
            "trained_on": f"events read with kind {(data.get('train') or {}).get('kind', 'unknown')}",
            "began_with": _began_with(chain.get("weights")),
        }
    if trained_on is not None:
        about["trained_on"] = trained_on
    about["task"] = ", ".join(str(head["kind"]) for head in described.model["heads"].values())
    return about


def _began_with(weights: str | None) -> str | None:
    return weights if weights is None or weights in packaged_names() else Path(weights).name


def _metrics(path: Path, own: Path, given: Path | None) -> dict[str, Any]:
    """The numbers of a metrics file that was made with the weights in `path`.

    Raises:
        UserError: the given file cannot be read or is of other weights.
    """
    file = own if given is None else given
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if given is None:
            return {}
        raise UserError(f"--metrics {given} cannot be read ({error})") from error
    if found.get("weights_sha256") != sha256_of(path):
        if given is None:
            return {}
        raise UserError(f"--metrics {given} is not of {path}: run predict and evaluate with these weights")
    scores = {name: found.get(name) for name in ("events", "skipped_events", "voxels")}
    return {**scores, "heads": {name: _numbers(head) for name, head in found["heads"].items()}}


def _numbers(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Without lists, which are of single events or for figures; a threshold that goes with the width is one."""
    return {
        name: _numbers(value) if isinstance(value, Mapping) else value
        for name, value in scores.items()
        if not isinstance(value, list) or name == "threshold"
    }
