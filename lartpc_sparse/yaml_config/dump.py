"""A configuration as YAML text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel

from lartpc_sparse.yaml_config.document import FLOAT_PATTERN
from lartpc_sparse.yaml_config.substitute import escape

__all__ = ["dump_config"]


def dump_config(config: BaseModel) -> str:
    """The configuration with all its defaults as YAML; `load_config` reads it back to an equal one."""
    data = config.model_dump(mode="json", by_alias=True)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Block style with lists of scalars on one line; nothing is written as an alias."""

    LINE_BREAKS = frozenset("\x85\u2028\u2029")
    """Text with one of these must be in double quotes: elsewhere PyYAML writes them as they are and reads a space."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        short = not any(isinstance(item, list | dict) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if self.LINE_BREAKS.isdisjoint(data) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", escape(data), style=style)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_str)
# Text that looks like a number to the loader (`1e-3`) must be quoted, besides what YAML 1.1 quotes.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT_PATTERN, list("-+.0123456789"))
