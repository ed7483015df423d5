"""Which variants of a chain the user wants: `--variant plane=u`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from lartpc_sparse.schema import UserError
from lartpc_sparse.yaml_config import Variant
from lartpc_sparse.yaml_config.document import parse_document
from lartpc_sparse.yaml_config.error import suggestion
from lartpc_sparse.yaml_config.substitute import scalar_text

__all__ = ["select"]

T = TypeVar("T", bound=BaseModel)


def select(variants: Sequence[Variant[T]], wanted: Sequence[str]) -> tuple[Variant[T], ...]:
    """The variants that fit all of the given values; several values of one variable are alternatives.

    Args:
        variants: of the chain.
        wanted: `name=value`, the value as it stands in the chain (`1e-3` is 0.001), or its name there.

    Raises:
        UserError: not of that form, or an unknown variable or value; names the valid ones.
    """
    allowed: dict[str, set[str]] = {}
    for word in wanted:
        name, equals, text = (part.strip() for part in word.partition("="))
        labels = {label: None for variant in variants if (label := variant.labels.get(name)) is not None}
        if not equals:
            raise UserError(f"--variant {word}: write it as name=value")
        if not labels:
            names = tuple(variants[0].labels)
            known = f"{suggestion(name, names)}valid: {', '.join(names)}" if names else "it has no section for_each"
            raise UserError(f"--variant {word}: the chain has no variable '{name}'; {known}")
        label = text if text in labels else _as_yaml(text)
        if label not in labels:
            known = f"{suggestion(text, labels)}valid: {', '.join(labels)}"
            raise UserError(f"--variant {word}: '{name}' has no value '{text}'; {known}")
        allowed.setdefault(name, set()).add(label)
    return tuple(v for v in variants if all(v.labels[name] in labels for name, labels in allowed.items()))


def _as_yaml(text: str) -> str:
    """The label of a value that is written in another way, 1e-3 for 0.001."""
    try:
        node = parse_document(text, "--variant")
    except UserError:
        return text
    return text if node is None or isinstance(node.value, dict | list) else scalar_text(node.value)
