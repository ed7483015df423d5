"""The dense network on the whole image: what sparse convolution saves."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import CaseBatch
from benchmarks.contestant import Unavailable
from benchmarks.network import CONFIG
from benchmarks.peers.peer import Peer

__all__ = ["DensePeer"]


class _NormRelu(nn.Module):
    """Batch norm and ReLU; zero outside the mask of the resolution, if there is one.

    All that sets a dense pass apart from a sparse one is what normalisation puts on inactive pixels.
    """

    def __init__(self, channels: int, masks: dict[tuple[int, ...], Tensor]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.masks = masks

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm(x))
        return out * self.masks[tuple(x.shape[-2:])] if self.masks else out


class _DenseToolkit:
    """torch's dense 2D layers; with `masks` (one a resolution) they compute what the sparse network does."""

    def __init__(self) -> None:
        self.masks: dict[tuple[int, ...], Tensor] = {}

    def submanifold(self, c_in: int, c_out: int, level: int) -> nn.Module:
        return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)

    def down(self, c_in: int, c_out: int, level: int) -> nn.Module:
        return nn.Conv2d(c_in, c_out, 2, stride=2, bias=False)

    def up(self, c_in: int, c_out: int, level: int) -> nn.Module:
        return nn.ConvTranspose2d(c_in, c_out, 2, stride=2, bias=False)

    def pointwise(self, c_in: int, c_out: int) -> nn.Module:
        return nn.Conv2d(c_in, c_out, 1, bias=False)

    def norm_relu(self, channels: int) -> nn.Module:
        return _NormRelu(channels, self.masks)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def concatenate(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], dim=1)

    def to_peer(self, weight: Tensor, target: nn.Module) -> Tensor:
        """(K, C_in, C_out) as (C_out, C_in, h, w), transposed convolutions as (C_in, C_out, h, w)."""
        assert isinstance(target.weight, Tensor)
        order = (1, 2, 0) if isinstance(target, nn.ConvTranspose2d) else (2, 1, 0)
        return weight.permute(order).reshape(target.weight.shape)

    def to_ours(self, weight: Tensor, source: nn.Module) -> Tensor:
        return weight.flatten(2).permute((2, 0, 1) if isinstance(source, nn.ConvTranspose2d) else (2, 1, 0))


class DensePeer(Peer):
    """The image with zeros between the tracks, one event, two axes; inference only."""

    def __init__(self, dim: int) -> None:
        if dim != 2:
            raise Unavailable(f"the dense network is only run on planes, not in {dim}D")
        self.kit = _DenseToolkit()
        super().__init__(self.kit, dim)

    def load(self, batch: CaseBatch) -> None:
        """See `Contestant.load`."""
        coarsest = 2**CONFIG.depth
        if len(batch.offsets) != 2 or any(size % coarsest for size in batch.shape):
            raise Unavailable(f"one event whose image is a multiple of {coarsest} is needed, not {batch.shape}")
        self.rows, self.columns = batch.coords.long().unbind(1)
        self.feats, self.shape = batch.feats, batch.shape

    def build_input(self) -> Any:
        """See `Peer.build_input`."""
        image = torch.zeros((1, 1, *self.shape))
        image[0, 0, self.rows, self.columns] = self.feats[:, 0]
        return image

    def feats_of(self, output: Tensor) -> Tensor:
        """Features of the active pixels."""
        return output[0, :, self.rows, self.columns].T

    def check_inference(self) -> Tensor:
        """The same layers confined to the active pixels, which is what the sparse networks compute."""
        mask = torch.zeros((1, 1, *self.shape))
        mask[0, 0, self.rows, self.columns] = 1.0
        for _ in range(CONFIG.depth + 1):
            self.kit.masks[tuple(mask.shape[-2:])] = mask
            mask = F.max_pool2d(mask, 2)
        try:
            return self.inference()
        finally:
            self.kit.masks.clear()

    def training_step(self) -> None:
        """Not run.

        Raises:
            Unavailable: always; the activations of a whole plane do not fit into the memory of a usual machine.
        """
        raise Unavailable("training on the whole plane does not fit into memory")

    def check_gradients(self, probe: Tensor) -> dict[str, Tensor]:
        """Not run, see `training_step`.

        Raises:
            Unavailable: always.
        """
        raise Unavailable("training on the whole plane does not fit into memory")
