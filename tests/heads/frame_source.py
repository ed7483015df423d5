"""Frames with a known truth for the evaluation of the signal head."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np

from lartpc_sparse.data.camera.frames_reader import FramesConfig, FramesReader
from lartpc_sparse.data.camera.pedestal import Pedestal, save_pedestal
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction


def _frame_events() -> ModuleType:
    path = Path(__file__).parents[1] / "data" / "frame_events.py"
    spec = importlib.util.spec_from_file_location("frame_events_of_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MADE = _frame_events()
SIZE = _MADE.SIZE


def made_reader(folder: Path) -> FramesReader:
    """Eight frames, rebinned by 2."""
    _MADE.write_hdf5(folder / "frames.h5", _MADE.frames(8))
    _MADE.write_truth(folder / "truth.h5", 8)
    save_pedestal(
        folder / "p.h5",
        Pedestal(np.full(SIZE, 100, np.float32), np.full(SIZE, 2, np.float32), np.zeros(SIZE, np.bool_), 10),
    )
    return FramesConfig.model_validate(
        {
            "files": [str(folder / "frames.h5")],
            "truth": [str(folder / "truth.h5")],
            "pedestal": str(folder / "p.h5"),
            "preprocess": [{"kind": "bad_pixels"}, {"kind": "pedestal"}, {"kind": "rebin", "factor": 2}],
        }
    ).build()


def prediction_of(event: Event, selected: np.ndarray) -> Prediction:
    """A prediction of the head `s` that selects the given pixels."""
    return Prediction(
        key=event.key,
        coords=event.coords,
        energy=event.energy,
        truth={"semantic": event.labels["semantic"].astype(np.int8)},
        columns={"s/selected": selected.astype(np.int8), "s/probability": selected.astype(np.float32)},
    )
