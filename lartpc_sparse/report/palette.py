"""Fixed colours of the figures; those of the classes, and their source, are in `data/class_colours`."""

from __future__ import annotations

from lartpc_sparse.data.class_colours import NEUTRAL, class_colours

__all__ = ["FALSE", "FOUND", "MISSED", "NEUTRAL", "TRAIN", "VALIDATION", "class_colours"]

TRAIN = "#0072b2"
VALIDATION = "#d55e00"
FOUND = "#009e73"
MISSED = "#e69f00"
FALSE = "#d55e00"
