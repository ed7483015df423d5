"""Who can take part, by name, and under which settings of threads and environment."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.contestant import Contestant, Unavailable
from benchmarks.ours import ENGINES, OurEngine

__all__ = ["ENGINES", "REGISTRY", "Entry", "build_contestant", "chosen"]

# libgomp's waiting threads spin for milliseconds unless told otherwise; beside other processes that costs 8 times.
_SHORT_SPIN = {"GOMP_SPINCOUNT": "2000"}


@dataclass(frozen=True)
class Entry:
    """A contestant's place in the registry.

    Attributes:
        engine: our engine, or empty for a peer.
        precision: fp32, bf16 or fp16.
        peer: module and class of a peer.
        environment: what its process is started with, besides the number of threads.
        devices: where it runs.
        threads: where it computes right only with so many; None for as many as everyone.
        most_repeats: for what is so slow that more repeats would only cost time.
    """

    engine: str = ""
    precision: str = "fp32"
    peer: tuple[str, str] = ("", "")
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    threads: int | None = None
    most_repeats: int | None = None


REGISTRY: Mapping[str, Entry] = {
    "cpu": Entry("cpu", environment=_SHORT_SPIN),
    "cpu-bf16": Entry("cpu", "bf16", environment=_SHORT_SPIN),
    "torch": Entry("torch", environment=_SHORT_SPIN, devices=("cpu", "cuda")),
    "torch-bf16": Entry("torch", "bf16", environment=_SHORT_SPIN, devices=("cpu", "cuda"), most_repeats=3),
    "torch-fp16": Entry("torch", "fp16", devices=("cuda",)),
    "triton": Entry("triton", devices=("cuda",)),
    "triton-bf16": Entry("triton", "bf16", devices=("cuda",)),
    "triton-fp16": Entry("triton", "fp16", devices=("cuda",)),
    "spconv": Entry(peer=("benchmarks.peers.spconv_peer", "SpconvPeer"), environment=_SHORT_SPIN),
    # Its backward pass on the CPU races: with two threads gradients are off by 6 to 60 %, never by the same amount,
    # with one they are right to 1e-6. The check leaves the training of `spconv` out; this one can be compared.
    "spconv-1thread": Entry(
        peer=("benchmarks.peers.spconv_peer", "SpconvPeer"), environment=_SHORT_SPIN, threads=1, most_repeats=3
    ),
    "minkowski": Entry(
        peer=("benchmarks.peers.minkowski_peer", "MinkowskiPeer"),
        # Its default spins, and OpenBLAS starts threads inside its threads: up to 4 times slower.
        environment={"OPENBLAS_CORETYPE": "SKYLAKEX", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    ),
    "dense": Entry(peer=("benchmarks.peers.dense_peer", "DensePeer"), environment=_SHORT_SPIN, most_repeats=3),
}
"""Every contestant by name."""


def chosen(names: Sequence[str] | None, device: str) -> list[str]:
    """The named contestants, or all that know the device.

    Raises:
        ValueError: an unknown name.
    """
    if names is None:
        return [name for name, entry in REGISTRY.items() if device in entry.devices]
    for name in names:
        if name not in REGISTRY:
            raise ValueError(f"no contestant is called {name!r}; there are {', '.join(REGISTRY)}")
        if device not in REGISTRY[name].devices:
            raise ValueError(f"{name} does not run on {device}, only on {' and '.join(REGISTRY[name].devices)}")
    return list(names)


def build_contestant(name: str, dim: int, device: str) -> Contestant:
    """The contestant, in this process.

    Raises:
        Unavailable: it cannot run here.
    """
    entry = REGISTRY[name]
    if entry.engine:
        return OurEngine(entry.engine, entry.precision, device, dim)
    module, kind = entry.peer
    contestant: Contestant = getattr(importlib.import_module(module), kind)(dim)
    if not isinstance(contestant, Contestant):
        raise Unavailable(f"{module}.{kind} is not a contestant")
    return contestant
