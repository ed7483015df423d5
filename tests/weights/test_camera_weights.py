"""The packaged weights for camera frames find recoils in frames that they have never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.camera import FrameImage, preprocess
from lartpc_sparse.data.camera.frame_transforms import BadPixelsConfig, RebinConfig, SubtractPedestalConfig
from lartpc_sparse.data.camera.true_pixels import true_pixels
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import SignificanceConfig
from lartpc_sparse.metrics.recoils import match_recoils
from lartpc_sparse.network import Network
from lartpc_sparse.simulate.camera import CameraConfig
from lartpc_sparse.sparse import choose_engine
from lartpc_sparse.weights import describe, find_weights, load_weights

FAKES = {"camera-small": 6, "camera-attention-small": 14}  # at most; a ninth of a frame: their cards say 1.7 and 6.3
SIDE = 768


def simulated(name: str, kind: str, energy: float) -> tuple[Event, np.ndarray]:
    """Sixteen recoils of one kind on a frame of 768 x 768 pixels, and the recoil of every rebinned pixel."""
    energies = {"electron_kev": [], "nuclear_kev": [], f"{kind}_kev": [energy]}
    settings = {"recoils": {"per_image": [16, 16], **energies}, "sensor": {"size": [SIDE, SIDE], "noise_counts": 2.135}}
    source = CameraConfig.model_validate(settings).build()
    made, sensor = source.make(77, 1), source.sensor
    frame = made["frames"]
    image = preprocess(
        FrameImage(frame.key, frame.counts.astype(np.float32), sensor.offset, sensor.noise, sensor.hot | sensor.dead),
        [BadPixelsConfig(), SubtractPedestalConfig(), RebinConfig()],
    )
    side = SIDE // 4
    coords = np.argwhere(np.ones((side, side))).astype(np.int32)
    event = Event(
        key=frame.key,
        coords=coords,
        energy=image.values.reshape(-1),
        image_size=(side, side),
        classes=("background", "signal"),
        labels={"noise": image.sigma.reshape(-1)},
    )
    light, owner = true_pixels(made["truth"], (side, side), 4)
    significance = SignificanceConfig.model_validate(describe(find_weights(name)).transforms[0]).build()
    return significance(event, np.random.default_rng(0)), np.where(light >= 0.2, owner, -1).reshape(-1)


@pytest.mark.parametrize("name", FAKES)
@pytest.mark.parametrize(
    ("kind", "energy", "least"), [("nuclear", 3.0, 14), ("electron", 1.0, 14), ("nuclear", 10.0, 15)]
)
def test_recoils_are_found_and_next_to_nothing_else(name: str, kind: str, energy: float, least: int) -> None:
    path = find_weights(name)
    network = Network(describe(path).model_config(), choose_engine("dense", "cpu").engine)
    load_weights(network, path)
    event, owner = simulated(name, kind, energy)
    batch = collate([event])
    with torch.inference_mode():
        output = network.eval()(batch)
        selected = network.head("signal").decode(output["signal"], batch, None).columns["selected"] > 0
    clusters = np.full(len(event), -1, dtype=np.int64)
    chosen = network.config.heads["signal"].clusters  # type: ignore[attr-defined]
    clusters[selected] = chosen.find(event.coords[selected], event.energy[selected])
    light = np.bincount(owner[owner >= 0], minlength=16).astype(np.float64)
    match = match_recoils(clusters, owner, np.ones(len(owner)), light, min_share=0.3, min_purity=0.1)
    assert (match.cluster >= 0).sum() >= least
    assert match.fake.sum() <= FAKES[name]
