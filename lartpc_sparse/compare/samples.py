"""Predictions files of the same events, read side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import yaml
from pydantic import ValidationError

from lartpc_sparse.data.prediction_file import Prediction, PredictionFile
from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.schema import UserError

__all__ = ["check_alike", "open_samples", "read_together", "sample_names", "semantic_head"]


def sample_names(files: Sequence[Path], names: Sequence[str] | None) -> tuple[str, ...]:
    """The given names of the variations, or those of their files' folders.

    Raises:
        UserError: as many names as files are needed, and different ones.
    """
    found = tuple(names) if names else tuple(path.resolve().parent.name for path in files)
    if len(found) != len(files):
        raise UserError(f"--names has {len(found)} names for {len(files)} variations; give one for each of them")
    if len(set(found)) < len(found):
        cure = "give different ones" if names else "name the variations with --names"
        raise UserError(f"variations have the same name ({', '.join(found)}); {cure}")
    return found


def open_samples(stack: ExitStack, paths: Sequence[Path]) -> tuple[PredictionFile, ...]:
    """The files, nominal sample first, opened until the stack ends.

    Raises:
        UserError: a file is missing or damaged, or one is not like the first.
    """
    files = tuple(stack.enter_context(PredictionFile(path)) for path in paths)
    for file in files[1:]:
        check_alike(files[0], file)
    return files


def check_alike(nominal: PredictionFile, other: PredictionFile) -> None:
    """Refuse a file with another number of events, image or classes than the nominal one.

    Raises:
        UserError: what differs.
    """
    for what, one, two in (
        ("events", len(nominal), len(other)),
        ("image size", nominal.image_size, other.image_size),
        ("true classes", nominal.classes, other.classes),
    ):
        if one != two:
            raise UserError(
                f"{nominal.path} and {other.path} differ in {what} ({one} and {two}); compare predictions of the same "
                "events in the same order"
            )


def semantic_head(file: PredictionFile, wanted: str | None) -> tuple[str, SemanticConfig]:
    """Name and configuration of the semantic head that a file has predictions of.

    Raises:
        UserError: there is none, or none of the wanted name.
    """
    try:
        heads = yaml.safe_load(file.config_yaml)["model"]["heads"]
        found = {
            str(name): SemanticConfig.model_validate(head) for name, head in heads.items() if head["kind"] == "semantic"
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise UserError(f"{file.path}: its configuration names no usable semantic head ({error})") from error
    names = [name for name in found if wanted in (None, name)]
    if not names:
        there = ", ".join(found) or "none"
        raise UserError(f"{file.path} has no semantic head{f' {wanted!r}' if wanted else ''}; it has {there}")
    return names[0], found[names[0]]


def read_together(files: Sequence[PredictionFile]) -> Iterator[tuple[Prediction, ...]]:
    """The events in order, one prediction a file.

    Raises:
        UserError: an event is another one in one of the files: another entry, or of another file in their order.
    """
    seen: tuple[dict[str, int], ...] = tuple({} for _ in files)
    for index in range(len(files[0])):
        events = tuple(file.read(index) for file in files)
        places = [
            (numbers.setdefault(event.key.file, len(numbers)), event.key.entry)
            for numbers, event in zip(seen, events, strict=True)
        ]
        for file, event, place in zip(files, events, places, strict=True):
            if place != places[0]:
                raise UserError(
                    f"event {index} is {events[0].key} in {files[0].path}, but {event.key} in {file.path}; the samples "
                    "must hold the same events in the same order of files and entries"
                )
        yield events
