"""Weights of a UResNet that was made with MinkowskiEngine, for our `UResNet`.

The network must be ours in all but names: pre-activation blocks, normalisation before each convolution between
levels, `ME.cat(skip, up)`, and a last normalisation and activation. MinkowskiEngine itself is not needed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from lartpc_sparse.backbone.uresnet import UResNet
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.engines.minkowski_package import slots_of_minkowski

__all__ = ["MINKOWSKI_NAMING", "Naming", "from_minkowski"]

Naming = tuple[tuple[str, str], ...]
"""Rules (regular expression of a module's name there, its name here), the first that matches the whole name counts.

The name here is a template: \\1, \\2 are the groups, {decoder} is the network's only decoder.
"""

_BLOCK_PARTS = (
    (r"norm1", r"path.0.0"),
    (r"conv1", r"path.1"),
    (r"norm2", r"path.2.0"),
    (r"conv2", r"path.3"),
    (r"residual", r"shortcut"),
)

MINKOWSKI_NAMING: Naming = (
    (r"input_layer", r"encoder.stem"),
    *((rf"encoding_block\.(\d+)\.(\d+)\.{there}", rf"encoder.blocks.\1.\2.{here}") for there, here in _BLOCK_PARTS),
    (r"encoding_conv\.(\d+)\.0", r"encoder.down.\1.0.0"),
    (r"encoding_conv\.(\d+)\.2", r"encoder.down.\1.1"),
    *(
        (rf"decoding_block\.(\d+)\.(\d+)\.{there}", rf"decoders.{{decoder}}.blocks.\1.\2.{here}")
        for there, here in _BLOCK_PARTS
    ),
    (r"decoding_conv\.(\d+)\.0", r"decoders.{decoder}.up.\1.0.0"),
    (r"decoding_conv\.(\d+)\.2", r"decoders.{decoder}.up.\1.1"),
    (r"final\.0", r"decoders.{decoder}.final.0"),
)
"""The names that public LArTPC networks use: `input_layer`, `encoding_block.<level>.<block>.<norm1, conv1, norm2,
conv2, residual>`, `encoding_conv.<level>.<0: norm, 2: convolution>`, the same with `decoding`, and `final.0` for the
last normalisation, which some of them lack."""

_LEAF = re.compile(r"(?P<module>.+?)\.(?P<leaf>kernel|bias|bn\.\w+|linear\.weight|linear\.bias)")


def from_minkowski(
    state: Mapping[str, Tensor], network: UResNet, naming: Naming = MINKOWSKI_NAMING
) -> dict[str, Tensor]:
    """The state of `network` that computes what the MinkowskiEngine network of state `state` computes.

    Kernel slots are put into our order; 1 x 1 kernels (C_in, C_out), `linear.weight` (C_out, C_in), biases (1, C)
    and `bn.*` become ours.

    Raises:
        UserError: naming every key that is left over, missing, met twice or of a wrong shape.
    """
    rules = _with_decoder(naming, network)
    expected = network.state_dict()
    converted: dict[str, Tensor] = {}
    problems: list[str] = []
    for key, value in state.items():
        name = _our_name(key, rules)
        if name is None:
            problems.append(f"{key}: no rule of the naming says what it is")
        elif name not in expected:
            problems.append(f"{key}: would be {name}, which this network does not have")
        elif name in converted:
            problems.append(f"{key}: would be {name}, as another key is")
        else:
            converted[name] = _our_tensor(key, value, name, network)
            if converted[name].shape != expected[name].shape:
                problems.append(
                    f"{key}: of shape {tuple(value.shape)} does not fit {name} of {tuple(expected[name].shape)}"
                )
    problems += [f"{name}: nothing there fills it" for name in expected if name not in converted]
    if problems:
        raise UserError(
            "the weights do not fit the network; adapt its configuration, or the naming:\n  " + "\n  ".join(problems)
        )
    return {name: converted[name] for name in expected}


def _with_decoder(naming: Naming, network: UResNet) -> Naming:
    """The rules with the decoder's name in place of {decoder}.

    Raises:
        UserError: the network has several decoders.
    """
    if not any("{decoder}" in here for _, here in naming):
        return naming
    decoders = list(network.decoders)
    if len(decoders) != 1:
        raise UserError(f"the network has the decoders {decoders}: write one of them for {{decoder}} in the naming")
    return tuple((there, here.replace("{decoder}", decoders[0])) for there, here in naming)


def _our_name(key: str, rules: Naming) -> str | None:
    """What we call the tensor `key`, None when no rule says so."""
    parts = _LEAF.fullmatch(key)
    if parts is None:
        return None
    leaf = "weight" if parts["leaf"] == "kernel" else parts["leaf"].rpartition(".")[2]
    for there, here in rules:
        if match := re.fullmatch(there, parts["module"]):
            return f"{match.expand(here)}.{leaf}"
    return None


def _our_tensor(key: str, value: Tensor, name: str, network: UResNet) -> Tensor:
    """The values as we hold them; of a wrong shape when they do not belong there."""
    if key.endswith("linear.weight"):
        return value.T
    if key.endswith(".bias") and value.ndim == 2:
        return value.flatten()
    kernel_size = getattr(network.get_submodule(name.rpartition(".")[0]), "kernel_size", None)
    if not key.endswith(".kernel") or not isinstance(kernel_size, tuple):
        return value  # norms, and 1 x 1 convolutions, which are plain matrices in both
    kernel = value[None] if value.ndim == 2 else value
    slots = slots_of_minkowski(kernel_size)
    if len(kernel) != len(slots):
        return value
    ours = kernel.new_empty(kernel.shape)
    ours[slots] = kernel
    return ours
