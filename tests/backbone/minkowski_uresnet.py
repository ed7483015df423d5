"""A UResNet of MinkowskiEngine's own modules, and the saved one that the converter is tested with.

python tests/backbone/minkowski_uresnet.py      writes data/minkowski_uresnet.pt; needs MinkowskiEngine
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lartpc_sparse.sparse.engines.minkowski_package import import_minkowski

SAVED = Path(__file__).with_name("data") / "minkowski_uresnet.pt"

SETTINGS: dict[int, dict[str, int]] = {
    2: {"filters": 4, "depth": 2, "blocks": 2, "input_kernel": 5},
    3: {"filters": 2, "depth": 2, "blocks": 1, "input_kernel": 3},
}
"""Settings of our `UResNetConfig` that the saved network of each dimension was made for."""

IN_CHANNELS = 2


class ResidualBlock(nn.Module):
    """Pre-activation block; a 1 x 1 convolution fits the shortcut."""

    def __init__(self, me: Any, c_in: int, c_out: int, dim: int) -> None:
        super().__init__()
        self.residual = nn.Identity() if c_in == c_out else me.MinkowskiConvolution(c_in, c_out, 1, dimension=dim)
        self.norm1 = me.MinkowskiBatchNorm(c_in)
        self.conv1 = me.MinkowskiConvolution(c_in, c_out, kernel_size=3, dimension=dim)
        self.norm2 = me.MinkowskiBatchNorm(c_out)
        self.conv2 = me.MinkowskiConvolution(c_out, c_out, kernel_size=3, dimension=dim)
        self.act = me.MinkowskiReLU()

    def forward(self, x: Any) -> Any:
        out = self.conv1(self.act(self.norm1(x)))
        return self.conv2(self.act(self.norm2(out))) + self.residual(x)


class MinkowskiUResNet(nn.Module):
    """Encoder and decoder as LArTPC networks name them."""

    def __init__(self, dim: int, filters: int, depth: int, blocks: int, input_kernel: int) -> None:
        super().__init__()
        me = import_minkowski()
        self.me = me
        widths = [filters * (level + 1) for level in range(depth + 1)]

        def stage(c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(me, c_out if n else c_in, c_out, dim) for n in range(blocks)))

        def between(convolution: Any, c_in: int, c_out: int) -> nn.Sequential:
            step = convolution(c_in, c_out, kernel_size=2, stride=2, dimension=dim)
            return nn.Sequential(me.MinkowskiBatchNorm(c_in), me.MinkowskiReLU(), step)

        pairs = list(itertools.pairwise(widths))
        self.input_layer = me.MinkowskiConvolution(IN_CHANNELS, filters, kernel_size=input_kernel, dimension=dim)
        self.encoding_block = nn.ModuleList(stage(width, width) for width in widths)
        self.encoding_conv = nn.ModuleList(between(me.MinkowskiConvolution, fine, coarse) for fine, coarse in pairs)
        self.decoding_conv = nn.ModuleList(
            between(me.MinkowskiConvolutionTranspose, coarse, fine) for fine, coarse in reversed(pairs)
        )
        self.decoding_block = nn.ModuleList(stage(2 * fine, fine) for fine, _ in reversed(pairs))
        self.final = nn.Sequential(me.MinkowskiBatchNorm(filters), me.MinkowskiReLU())

    def forward(self, x: Any) -> Any:
        levels = [self.encoding_block[0](self.input_layer(x))]
        for down, blocks in zip(self.encoding_conv, list(self.encoding_block)[1:], strict=True):
            levels.append(blocks(down(levels[-1])))
        x = levels.pop()
        for up, blocks in zip(self.decoding_conv, self.decoding_block, strict=True):
            x = blocks(self.me.cat(levels.pop(), up(x)))
        return self.final(x)

    def apply_to(self, coords: Tensor, feats: Tensor, offsets: Tensor) -> Tensor:
        """Features of every voxel, in the order of `coords`."""
        event = torch.repeat_interleave(torch.arange(len(offsets) - 1, dtype=torch.int32), offsets.diff())
        rows = torch.cat([event[:, None], coords], dim=1)
        out = self(self.me.SparseTensor(features=feats, coordinates=rows))
        assert torch.equal(out.C, rows)
        result: Tensor = out.F
        return result


def events(dim: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates around the origin, features and offsets of three events, the second one empty."""
    generator = torch.Generator().manual_seed(seed)
    side = {2: 16, 3: 8}[dim]
    places = torch.cartesian_prod(*[torch.arange(-side // 2, side // 2, dtype=torch.int32)] * dim)
    coords = torch.cat([places[torch.randperm(len(places), generator=generator)[:count]] for count in (90, 60)])
    feats = torch.randn(len(coords), IN_CHANNELS, generator=generator)
    return coords, feats, torch.tensor([0, 90, 90, 150])


def trained(dim: int, seed: int) -> MinkowskiUResNet:
    """Random weights and norms, with running statistics as after some training; in evaluation mode."""
    torch.manual_seed(seed)
    network = MinkowskiUResNet(dim, **SETTINGS[dim])
    for name, parameter in network.named_parameters():
        if name.endswith(("bn.weight", "bn.bias")):
            nn.init.uniform_(parameter, 0.5, 1.5)
    with torch.no_grad():
        for step in range(5):
            network.train().apply_to(*events(dim, 100 + step))
    return network.eval()


def main() -> None:
    """Write the saved networks with their input and their output."""
    saved = {}
    for dim in SETTINGS:
        network = trained(dim, seed=dim)
        coords, feats, offsets = events(dim, seed=dim)
        with torch.no_grad():
            out = network.apply_to(coords, feats, offsets)
        saved[dim] = {"state": network.state_dict(), "coords": coords, "feats": feats, "offsets": offsets, "out": out}
    SAVED.parent.mkdir(exist_ok=True)
    torch.save(saved, SAVED)


if __name__ == "__main__":
    main()
