"""Frames of a scientific camera that looks at a gas detector: low-energy recoils as diffused light on pedestals."""

from lartpc_sparse.simulate.camera.source import CameraConfig, CameraSource

__all__ = ["CameraConfig", "CameraSource"]
