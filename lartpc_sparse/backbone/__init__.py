"""Backbones that every head shares."""

from lartpc_sparse.backbone.base import Backbone, BackboneConfig
from lartpc_sparse.backbone.uresnet import UResNet, UResNetConfig

__all__ = ["Backbone", "BackboneConfig", "UResNet", "UResNetConfig"]
