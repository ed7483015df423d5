"""JSON schema of a configuration file, for editors: that of the class, and what a file may hold besides."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from lartpc_sparse.yaml_config.for_each import FOR_EACH

__all__ = ["file_schema"]

_VARIABLE = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_.]*\}$"}


def file_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema: every property may also be a variable `${name}`; `include` and `for_each` are known."""
    schema = model.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        part["properties"] = {name: _or_variable(value) for name, value in part.get("properties", {}).items()}
    schema["properties"] = {
        "include": {
            "description": "files that this one adds to, relative to it",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        FOR_EACH: {
            "description": "variables: lists of values, or mappings of names to values",
            "type": "object",
            "additionalProperties": {"type": ["array", "object"]},
        },
        **schema["properties"],
    }
    return schema


def _or_variable(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") == "string":
        return value
    kept: dict[str, Any] = {name: value[name] for name in ("title", "description", "default") if name in value}
    rest = {name: part for name, part in value.items() if name not in kept}
    return {**kept, "anyOf": [rest, _VARIABLE]}
