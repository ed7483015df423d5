"""YAML files to a validated configuration, with every complaint at its file and line."""

from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem
from lartpc_sparse.yaml_config.load import dump_config, load_config

__all__ = ["ConfigError", "Place", "Problem", "dump_config", "load_config"]
