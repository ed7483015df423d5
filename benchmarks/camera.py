"""Camera frames: time and memory of a full frame through the network and through the classical chain, side by side.

taskset -c 0,1 python -m benchmarks.camera --threads 2
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.camera.frame_image import FrameImage
from lartpc_sparse.data.camera.frame_transforms import (
    BadPixelsConfig,
    RebinConfig,
    SubtractPedestalConfig,
    preprocess,
)
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.transforms import SignificanceConfig
from lartpc_sparse.heads.signal.classical import classical_chain
from lartpc_sparse.heads.signal.evaluation import ClassicalChainConfig
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.simulate.camera import CameraConfig
from lartpc_sparse.sparse import choose_engine
from lartpc_sparse.weights import describe, find_weights, load_weights

NAME = "camera-small"


def network(source: str) -> Network:
    """The packaged weights, or other ones."""
    path = find_weights(source)
    model: ModelConfig = describe(path).model_config()
    made = Network(model, choose_engine("dense", "cpu").engine)
    load_weights(made, path)
    return made.eval()


def frame_of(config: CameraConfig) -> FrameImage:
    """A simulated frame with its true pedestal."""
    source = config.build()
    counts = source.make(11, config.pedestal_frames)["frames"].counts.astype(np.float32)
    sensor = source.sensor
    return FrameImage(EventKey("benchmark", 0), counts, sensor.offset, sensor.noise, sensor.hot | sensor.dead)


def significance_of(source: str) -> SignificanceConfig:
    """The transform that the weights were trained with."""
    return SignificanceConfig.model_validate(describe(find_weights(source)).transforms[0])


def event_of(frame: FrameImage, significance: SignificanceConfig) -> Event:
    """The preprocessed pixels as the network takes them."""
    image = preprocess(frame, [BadPixelsConfig(), SubtractPedestalConfig(), RebinConfig()])
    height, width = image.values.shape
    coords = np.empty((height, width, 2), dtype=np.int32)
    coords[..., 0], coords[..., 1] = np.ogrid[:height, :width]
    made = Event(
        key=frame.key,
        coords=coords.reshape(-1, 2),
        energy=image.values.reshape(-1),
        image_size=(height, width),
        classes=("background", "signal"),
        labels={"noise": image.sigma.reshape(-1)},
    )
    return significance.build()(made, np.random.default_rng(0))


def timed(rounds: int, parts: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Median wall time and median processor time of every part, in turns, ms."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for number in range(rounds + 1):
        for name, part in parts.items():
            wall, cpu = time.perf_counter(), time.process_time()
            part()
            if number:
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: tuple(1000 * np.median(np.array(found), axis=0)) for name, found in taken.items()}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.camera", description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default=NAME, help="name, file or run")
    parser.add_argument("--noise", type=float, default=2.135, help="counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recoils = {"per_image": [7, 7]}
    config = CameraConfig.model_validate({"recoils": recoils, "sensor": {"noise_counts": options.noise}})
    frame, model = frame_of(config), network(options.weights)
    head = next(iter(model.config.heads.values()))
    significance = significance_of(options.weights)
    event = event_of(frame, significance)

    def infer() -> np.ndarray:
        batch = collate([event])
        with torch.inference_mode():
            name = next(iter(model.config.heads))
            return model.head(name).decode(model(batch)[name], batch, None).columns["selected"] > 0

    selected = infer()
    parts: dict[str, Callable[[], object]] = {
        "network: preprocessing": lambda: event_of(frame, significance),
        "network: inference": infer,
        "network: clustering": lambda: head.clusters.find(event.coords[selected], event.energy[selected]),  # type: ignore[attr-defined]
        "classical chain": lambda: classical_chain(frame, ClassicalChainConfig()),
    }
    found = timed(options.rounds, parts)
    stages = classical_chain(frame, ClassicalChainConfig())
    print(f"{options.threads} threads, median of {options.rounds}, ms: wall | processor")
    for name, (wall, cpu) in found.items():
        print(f"{name:24} {wall:8.1f} | {cpu:8.1f}")
    ours = [sum(found[name][kind] for name in parts if name.startswith("network")) for kind in (0, 1)]
    theirs = found["classical chain"]
    print(f"{'network, all':24} {ours[0]:8.1f} | {ours[1]:8.1f}")
    print(f"classical / network      {theirs[0] / ours[0]:8.2f} | {theirs[1] / ours[1]:8.2f}")
    print(f"pixels to clustering: network {int(selected.sum())}, classical {stages.pixels}")
    print("classical stages, ms:", {name: round(1000 * value, 1) for name, value in stages.seconds.items()})
    print(f"largest resident memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
