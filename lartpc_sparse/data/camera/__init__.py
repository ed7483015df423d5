"""Frames of scientific cameras: files, pedestals and preprocessing."""

from lartpc_sparse.data.camera.frame_files import FrameFile, open_frames
from lartpc_sparse.data.camera.frame_image import SIGNAL_CLASSES, FrameCounts, FrameImage
from lartpc_sparse.data.camera.frame_transforms import FrameTransformField, preprocess

__all__ = [
    "SIGNAL_CLASSES",
    "FrameCounts",
    "FrameFile",
    "FrameImage",
    "FrameTransformField",
    "open_frames",
    "preprocess",
]
