"""What takes part in the benchmark: the network in one package, with the common weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from benchmarks.cases import CaseBatch

__all__ = ["Contestant", "Unavailable"]


class Unavailable(Exception):  # noqa: N818  (a finding, not a fault)
    """A contestant cannot run here; the message says why and what to install."""


class Contestant(ABC):
    """The network in one package.

    A pass goes from coordinates and features to the output: coordinate structures are built in it, every time.

    Attributes:
        network: the module, with the weights of `benchmarks.network.build_network`.
    """

    network: nn.Module

    @abstractmethod
    def load(self, batch: CaseBatch) -> None:
        """Take a batch, in whatever form of plain tensors the package wants it.

        Raises:
            Unavailable: the package cannot run this batch.
        """

    @abstractmethod
    def forward(self) -> Tensor:
        """Output features (N, 32) on the voxels in the order of the batch."""

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the convolution weights after a backward pass, under our names and in our layout."""

    def inference(self) -> Tensor:
        """A pass in evaluation mode, without a graph."""
        if self.network.training:  # the call walks through all modules
            self.network.eval()
        with torch.no_grad():  # the peers' own autograd functions do not all accept inference tensors
            return self.forward()

    def training_step(self) -> None:
        """Forward in training mode, sum of the output, backward into fresh gradients; no optimiser.

        Raises:
            Unavailable: the contestant does not train.
        """
        self.network.train()
        self.network.zero_grad(set_to_none=True)
        self.forward().float().sum().backward()  # type: ignore[no-untyped-call]

    def check_inference(self) -> Tensor:
        """An output that must agree with everyone else's; differs from `inference` where that computes more."""
        return self.inference()

    def check_gradients(self, probe: Tensor) -> dict[str, Tensor]:
        """Gradients of the sum of output x `probe` (N, 32), with the running statistics.

        With the statistics of the batch even float32 and float64 differ by 1 %: gradients behind batch norms are small
        differences of large terms, so a comparison there would say nothing.

        Raises:
            Unavailable: the contestant does not train.
        """
        self.network.eval()
        self.network.zero_grad(set_to_none=True)
        out = self.forward().float()
        (out * probe.to(out.device)).sum().backward()  # type: ignore[no-untyped-call]
        return self.gradients()

    def build_plan(self) -> object:
        """Only the coordinate structures of a pass.

        Raises:
            Unavailable: the package does not build them apart.
        """
        raise Unavailable("coordinate structures cannot be built apart")

    def synchronise(self) -> None:  # noqa: B027  (on a CPU there is nothing to wait for)
        """Wait until the device has finished."""

    def settings(self) -> dict[str, str]:
        """Versions and settings worth keeping with the figures."""
        return {}
