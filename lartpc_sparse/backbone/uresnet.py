"""UResNet: a U-Net of residual blocks on sparse voxels.

Sources: MicroBooNE SparseSSNet (arXiv:2012.08513): 32 filters, depth 5, linear growth, strided 2^D convolutions
down, transposed ones up, concatenated skips. Koh et al. (arXiv:2007.03083): one encoder, one decoder for each
output, leaky ReLU, a larger input kernel. Deviation: blocks are pre-activation, so the features that leave a
decoder pass a last normalisation and activation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from lartpc_sparse.backbone.attention import AttentionGate
from lartpc_sparse.backbone.base import Backbone, BackboneConfig
from lartpc_sparse.backbone.blocks import (
    ActivationName,
    AttentionName,
    Block,
    BlockStyle,
    ConvolutionName,
    NormName,
    PlainBlock,
    ResidualBlock,
)
from lartpc_sparse.backbone.folding import can_fold
from lartpc_sparse.backbone.fused_forms import FusedForms
from lartpc_sparse.sparse import (
    PointwiseConv,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
    concatenate,
)
from lartpc_sparse.sparse.depthwise import interpolate_up
from lartpc_sparse.sparse.fusion import is_fusing

__all__ = ["UResNet", "UResNetConfig"]


class UResNetConfig(BackboneConfig):
    """Configuration of `UResNet`."""

    kind: Literal["uresnet"] = "uresnet"
    filters: int = Field(32, ge=1, description="features at full resolution")
    depth: int = Field(5, ge=0, le=12, description="number of times the image is coarsened by 2")
    blocks: int = Field(2, ge=1, description="blocks at each level, in the encoder and in each decoder")
    block: Literal["residual", "plain"] = "residual"
    convolution: ConvolutionName = Field("full", description="in the blocks; separable: depthwise, then pointwise")
    attention: AttentionName = Field("none", description="at the end of each block; cbam: channels, then places")
    gates: bool = Field(False, description="attention gates on the skips (arXiv:1804.03999)")
    upsampling: Literal["transposed", "bilinear"] = Field(
        "transposed", description="2^D transposed convolution; or linear interpolation, then a 1 x 1 convolution"
    )
    stem_step: Literal[1, 2] = Field(
        1, description="2: the first convolution coarsens by 2, and the result comes back to all voxels at the end"
    )
    kernel_size: int = Field(3, ge=1, description="odd; kernel of the blocks")
    input_kernel: int = Field(3, ge=1, description="odd; kernel of the first convolution")
    norm: NormName = "batch"
    activation: ActivationName = "relu"
    growth: Literal["linear", "geometric"] = Field(
        "linear", description="features at level l: filters * (l + 1) or filters * 2^l"
    )
    decoder: Literal["per_stream", "shared"] = Field(
        "per_stream", description="one decoder for every stream of the heads, or one for all"
    )

    @field_validator("kernel_size", "input_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"a submanifold kernel must be odd, got {value}")
        return value

    def channels(self, level: int) -> int:
        """Number of features at a level; 0 is full resolution."""
        return self.filters * ((level + 1) if self.growth == "linear" else 2**level)

    def build(self, *, in_channels: int, dim: int, streams: Sequence[str]) -> UResNet:
        """See `BackboneConfig.build`."""
        return UResNet(self, in_channels=in_channels, dim=dim, streams=streams)


class _Encoder(nn.Module):
    """Features at every level, finest first."""

    def __init__(self, config: UResNetConfig, in_channels: int, style: BlockStyle, block: type[Block]) -> None:
        super().__init__()
        widths = [config.channels(level) for level in range(config.depth + 1)]
        bias = style.norm == "none"
        self.stem: SubmanifoldConv | StridedConv
        if config.stem_step == 1:
            self.stem = SubmanifoldConv(in_channels, widths[0], config.input_kernel, dim=style.dim, bias=bias)
        else:
            self.stem = StridedConv(in_channels, widths[0], 2, dim=style.dim, bias=bias)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(block(width, width, style) for _ in range(config.blocks))) for width in widths
        )
        self.down = nn.ModuleList(
            nn.Sequential(
                style.norm_activation(fine),
                StridedConv(fine, coarse, 2, dim=style.dim, bias=style.norm == "none"),
            )
            for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, x: SparseTensor) -> list[SparseTensor]:
        levels = [self.blocks[0](self.stem(x))]
        for down, blocks in zip(self.down, list(self.blocks)[1:], strict=True):
            levels.append(blocks(down(levels[-1])))
        return levels


class _BilinearUp(nn.Module):
    """Linear interpolation, then a 1 x 1 convolution; on the coarse voxels, where it is the same and costs less."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool) -> None:
        super().__init__()
        self.mix = PointwiseConv(in_channels, out_channels, bias=bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        return interpolate_up(self.mix(x))


def _upsampling(config: UResNetConfig, style: BlockStyle, coarse: int, fine: int) -> nn.Module:
    """From `coarse` features to `fine` ones on the voxels twice as fine."""
    if config.upsampling == "bilinear":
        return _BilinearUp(coarse, fine, bias=style.norm == "none")
    return TransposedConv(coarse, fine, 2, dim=style.dim, bias=style.norm == "none")


class _Decoder(nn.Module):
    """From the coarsest level back to full resolution, through the skips."""

    def __init__(self, config: UResNetConfig, style: BlockStyle, block: type[Block]) -> None:
        super().__init__()
        widths = [config.channels(level) for level in range(config.depth + 1)]
        steps = list(zip(widths[-2::-1], widths[::-1], strict=False))  # (fine, coarse), coarsest first
        self.up = nn.ModuleList(
            nn.Sequential(style.norm_activation(coarse), _upsampling(config, style, coarse, fine))
            for fine, coarse in steps
        )
        if config.gates:
            self.gates = nn.ModuleList(AttentionGate(fine, coarse, dim=style.dim) for fine, coarse in steps)
        self.blocks = nn.ModuleList(
            nn.Sequential(block(2 * fine, fine, style), *(block(fine, fine, style) for _ in range(config.blocks - 1)))
            for fine, _ in steps
        )
        self.gated = config.gates
        self.out: nn.Sequential | None = None
        if config.stem_step == 2:
            self.out = nn.Sequential(
                style.norm_activation(widths[0]), _upsampling(config, style, widths[0], config.filters)
            )
        self.final = style.norm_activation(widths[0])

    def forward(self, levels: list[SparseTensor]) -> SparseTensor:
        x = levels[-1]
        for number, (up, blocks, skip) in enumerate(zip(self.up, self.blocks, levels[-2::-1], strict=True)):
            gated = self.gates[number](skip, x) if self.gated else skip
            x = blocks(concatenate(gated, up(x)))
        if self.out is not None:
            x = self.out(x)
        result: SparseTensor = self.final(x)
        return result


class UResNet(Backbone):
    """One encoder and one decoder a stream (or one for all); see the module's docstring.

    Attributes:
        fuse_inference: in evaluation without gradients, engines that can fuse run whole blocks in one pass; module
            hooks inside the backbone are not called then.
    """

    def __init__(self, config: UResNetConfig, *, in_channels: int, dim: int, streams: Sequence[str]) -> None:
        super().__init__()
        style = BlockStyle(
            dim,
            config.kernel_size,
            config.norm,
            config.activation,
            separable=config.convolution == "separable",
            cbam=config.attention == "cbam",
        )
        block: type[Block] = ResidualBlock if config.block == "residual" else PlainBlock
        self.streams = tuple(streams)
        self.shared = config.decoder == "shared"
        self.out_channels = config.filters
        self.encoder = _Encoder(config, in_channels, style, block)
        names = ("shared",) if self.shared else self.streams
        self.fuse_inference = True
        self._plain = config.upsampling == "transposed"
        self._fused = FusedForms()
        self.decoders = nn.ModuleDict({_module_name(name): _Decoder(config, style, block) for name in names})

    def train(self, mode: bool = True) -> UResNet:
        """As in torch; what was prepared for inference is made anew."""
        self._fused.clear()
        super().train(mode)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> UResNet:
        self._fused.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._fused.clear()
        super()._load_from_state_dict(*args, **kwargs)

    @property
    def foldable(self) -> bool:
        """Whether the fused form has all parts of this network: no attention, full convolutions, transposed ones up."""
        return self._plain and can_fold(self)

    def decoder_of(self, stream: str) -> _Decoder:
        """The decoder of a stream."""
        decoder = self.decoders["shared" if self.shared else _module_name(stream)]
        assert isinstance(decoder, _Decoder)
        return decoder

    def forward(self, x: SparseTensor, streams: Sequence[str] | None = None) -> Mapping[str, SparseTensor]:
        """See `Backbone.forward`."""
        wanted = self.streams if streams is None else tuple(streams)
        engine = x.plan.engine
        if self.fuse_inference and not self.training and not torch.is_grad_enabled() and is_fusing(engine):
            device = x.feats.device.type
            dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.feats.dtype
            fused = self._fused.get(self, engine, dtype, wanted)
            if fused is not None:
                return fused.run(x)
        levels = self.encoder(x)
        if self.shared:
            return dict.fromkeys(wanted, self.decoders["shared"](levels))
        return {name: self.decoder_of(name)(levels) for name in wanted}


def _module_name(stream: str) -> str:
    """Torch forbids dots in the names of submodules; streams are named `<head>.<stream>`."""
    return stream.replace(".", ":")
