"""A peer as a contestant: the common part."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from benchmarks.contestant import Contestant
from benchmarks.network import build_network
from benchmarks.peers.architecture import PeerNetwork, Toolkit, copy_weights, gradients

__all__ = ["Peer"]


class Peer(Contestant):
    """The network in a peer's modules, on the CPU, in fp32."""

    network: PeerNetwork

    def __init__(self, kit: Toolkit, dim: int) -> None:
        self.dim = dim
        self.network = PeerNetwork(kit)
        copy_weights(self.network, build_network(dim))

    @abstractmethod
    def build_input(self) -> Any:
        """The peer's tensor from the coordinates and features of the batch."""

    @abstractmethod
    def feats_of(self, output: Any) -> Tensor:
        """Output features in the order of the batch."""

    def forward(self) -> Tensor:
        """See `Contestant.forward`."""
        return self.feats_of(self.network(self.build_input()))

    def gradients(self) -> dict[str, Tensor]:
        """See `Contestant.gradients`."""
        return gradients(self.network, build_network(self.dim))
