"""Weights into a network; where the two do not fit, everything that differs is named."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import Tensor

from lartpc_sparse.heads import HeadConfig
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.description import describe, read_state

__all__ = ["differences", "load_weights"]


def load_weights(network: Network, path: Path, *, fresh: Collection[str] = ()) -> None:
    """Give a network the weights of a file.

    The file may have more heads than the network. A decoder that the network shares among its heads may come from a
    file with one stream, whose own decoder it is. Options that change neither the weights nor what they mean (of
    loss, decoding) may differ.

    Args:
        network: changed in place.
        path: a weights file or a checkpoint.
        fresh: heads that keep the weights they have, with their own decoders.

    Raises:
        UserError: a file that cannot be read, or of another model; names what differs.
    """
    described = describe(path)
    found = differences(described.model_config(), network.config, fresh=fresh)
    kept = {name: value for name, value in network.state_dict().items() if _of_heads(name, fresh)}
    state = {**_decoder_shared(read_state(path), described.model_config(), network.config), **kept}
    wanted = network.state_dict()
    if not found:
        found = _other_shapes(state, wanted)
    if found:
        raise UserError(
            f"the weights {described.name} are of another model; correct the section model, take other weights, "
            "train again, or let heads begin anew (train.fresh_heads):\n  " + "\n  ".join(found)
        )
    network.load_state_dict({name: state[name] for name in wanted})


def differences(trained: ModelConfig, wanted: ModelConfig, *, fresh: Collection[str] = ()) -> list[str]:
    """Entries of the model that change its weights or what they mean, one sentence each; empty when they fit."""
    found = [_differs(name, getattr(trained, name), getattr(wanted, name)) for name in ("dim", "features")]
    before, now = trained.backbone.model_dump(mode="json"), wanted.backbone.model_dump(mode="json")
    if _becomes_shared(trained, wanted):
        before["decoder"] = now["decoder"]
    found += [_differs(f"backbone.{name}", before.get(name), now.get(name)) for name in {**before, **now}]
    found += [_head_differs(name, trained, head) for name, head in wanted.heads.items() if name not in fresh]
    first, second = _extra_inputs(trained), _extra_inputs(wanted)
    found.append(_differs("further input features, which heads ask for", first, second))
    return [text for text in found if text]


def _becomes_shared(trained: ModelConfig, wanted: ModelConfig) -> bool:
    """Whether the only decoder of the weights is to serve all heads of the network."""
    streams = [stream for head in trained.heads.values() for stream in head.streams]
    kinds = [getattr(model.backbone, "decoder", None) for model in (trained, wanted)]
    return kinds == ["per_stream", "shared"] and len(streams) == 1


def _decoder_shared(state: dict[str, Tensor], trained: ModelConfig, wanted: ModelConfig) -> dict[str, Tensor]:
    """The state with the only decoder under the name of a shared one, where it is to be one."""
    if not _becomes_shared(trained, wanted):
        return state
    named = {}
    for name, value in state.items():
        parts = name.split(".", 3)
        is_decoder = parts[:2] == ["backbone", "decoders"]
        named[f"backbone.decoders.shared.{parts[3]}" if is_decoder else name] = value
    return named


def _differs(name: str, trained: Any, wanted: Any) -> str:
    return "" if trained == wanted else f"{name}: {_text(trained)} in the weights, {_text(wanted)} in the chain"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _head_differs(name: str, trained: ModelConfig, wanted: HeadConfig) -> str:
    if name not in trained.heads:
        return f"heads.{name}: not in the weights, which have {', '.join(trained.heads)}"
    before = trained.heads[name]
    if before.kind != wanted.kind:
        return _differs(f"heads.{name}.kind", before.kind, wanted.kind)
    return _differs(f"heads.{name}.classes", getattr(before, "classes", None), getattr(wanted, "classes", None))


def _extra_inputs(model: ModelConfig) -> str:
    """What the network sees besides the features of the event."""
    names = ["coordinates"] if any(head.uses_coordinates for head in model.heads.values()) else []
    names += [] if model.masking_head is None else ["a flag of masked regions"]
    return " and ".join(names) or "none"


def _of_heads(tensor: str, heads: Collection[str]) -> bool:
    """Whether a tensor belongs to one of the heads or to a decoder of theirs."""
    parts = tensor.split(".")
    if parts[0] == "heads":
        return parts[1] in heads
    return parts[:2] == ["backbone", "decoders"] and parts[2].partition(":")[0] in heads


def _other_shapes(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    found = [f"{name}: not in the weights" for name in wanted if name not in state]
    found += [
        f"{name}: {tuple(state[name].shape)} in the weights, {tuple(value.shape)} in the chain"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    return found
