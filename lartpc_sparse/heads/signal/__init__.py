"""Pixel selection: signal or background, before clustering."""

from lartpc_sparse.heads.signal.head import SignalConfig, SignalHead

__all__ = ["SignalConfig", "SignalHead"]
