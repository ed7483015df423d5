"""YAML files to validated configurations, with every complaint at its file and line."""

from lartpc_sparse.yaml_config.dump import dump_config
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem
from lartpc_sparse.yaml_config.file_schema import file_schema
from lartpc_sparse.yaml_config.load import DerivedVariables, Variant, load_config, load_variants

__all__ = [
    "ConfigError",
    "DerivedVariables",
    "Place",
    "Problem",
    "Variant",
    "dump_config",
    "file_schema",
    "load_config",
    "load_variants",
]
