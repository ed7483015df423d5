"""What a user reads about weights: the model card, and one line of the list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lartpc_sparse.weights.description import Description

__all__ = ["card_text", "headline", "size_text"]

_HEADLINES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "semantic": ("accuracy", ("accuracy",)),
    "spatial_embedding": ("ARI", ("mean_ari", "predicted")),
    "voxel_graph": ("ARI", ("mean_ari", "predicted")),
    "inpaint": ("gap F1", ("f1",)),
    "signal": ("recoils found", ("methods", "network", "recoils", "value")),
}
"""For each kind of head, what its headline number is called and where it is in the metrics."""


def card_text(described: Description, *, named: str) -> str:
    """A model card in Markdown: the facts of the file, and places for what only its author knows."""
    about = described.about
    made = about.get("trained_with") or {}
    facts = {
        "task": about.get("task"),
        "image": f"{described.model.get('dim')} axes, {described.model.get('features')} feature(s) a voxel",
        "classes": _classes(described),
        "size": f"{size_text(described)}, {about.get('parameters', 0):,} parameters, stored as {about.get('storage')}",
        "trained on": about.get("trained_on"),
        "began with": about.get("began_with") or "random weights",
        "trained with": f"lartpc_sparse {made.get('lartpc_sparse_version')}, git {made.get('git_hash')}",
    }
    lines = [f"# {named}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), ""]
    lines += [
        "## Data",
        "",
        f"{about.get('trained_on')}.",
        "",
        "The chain's transforms, which prediction needs too:",
        "",
    ]
    lines += ["```yaml", _yaml(list(described.transforms)), "```", ""]
    lines += ["## Training", "", "```yaml", _yaml(about.get("training", {})), "```", ""]
    lines += ["## Metrics", "", *_metrics_table(about.get("metrics") or {}), ""]
    lines += ["## Limits", "", "Not tested on data other than that named above.", ""]
    return "\n".join(lines)


def headline(described: Description) -> str:
    """The most telling number of each head, such as `accuracy 0.982`; `-` where nothing was measured."""
    heads = (described.about.get("metrics") or {}).get("heads") or {}
    found = []
    for scores in heads.values():
        title, keys = _HEADLINES.get(str(scores.get("kind")), ("", ()))
        value: Any = scores
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if title and isinstance(value, int | float):
            found.append(f"{title} {value:.3f}")
    return ", ".join(found) or "-"


def size_text(described: Description) -> str:
    """Size of the file in MB (10^6 bytes)."""
    return f"{described.path.stat().st_size / 1e6:.1f} MB"


def _classes(described: Description) -> str:
    heads = described.model.get("heads", {})
    return "; ".join(f"{name}: {', '.join(head['classes'])}" for name, head in heads.items() if head.get("classes"))


def _metrics_table(metrics: Mapping[str, Any]) -> list[str]:
    if not metrics:
        return ["None were measured."]
    lines = [f"On {metrics['events']} events, {metrics['voxels']} voxels:", ""]
    for head, scores in metrics["heads"].items():
        lines += _scores(head, scores)
    return lines


def _scores(title: str, scores: Mapping[str, Any]) -> Iterator[str]:
    """The numbers on a line, the groups below as tables or lines of their own."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
    groups = {name: value for name, value in scores.items() if isinstance(value, Mapping) and value}
    if numbers:
        yield f"- {title}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())
    for name, group in groups.items():
        if all(isinstance(row, Mapping) for row in group.values()):
            yield from _table(f"{title}, {name}", group)
        else:
            yield from _scores(f"{title}, {name}", group)


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows.values() for name, value in row.items() if _number(value)))
    if not columns:
        return
    yield from ("", f"| {title} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns))
    for name, row in rows.items():
        cells = [row.get(column) for column in columns]
        yield f"| {name} | " + " | ".join(f"{value:.4g}" if _number(value) else "-" for value in cells) + " |"
    yield ""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=110).strip()
