"""How the commands of the package read their arguments. Imports nothing, so that `--help` comes at once."""

from __future__ import annotations

import argparse

__all__ = ["command_parser"]


def command_parser(module: str, description: str | None, examples: str | None = None) -> argparse.ArgumentParser:
    """The parser of `python -m <module>`: options are written out in full, `examples` are shown as they stand."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
