"""Event sources: where simulated events come from, all behind `EventSource`."""

from lartpc_sparse.simulate.base import EventSource, SourceConfig, Stream

__all__ = ["EventSource", "SourceConfig", "Stream"]
