"""Backbone and heads together: inputs, heads by name, weights, order of decoding."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from labelled_events import empty_event, line_event, prepared, random_event
from pydantic import ValidationError
from torch import Tensor

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import add_empty_mask
from lartpc_sparse.heads import InpaintConfig, SemanticConfig
from lartpc_sparse.heads.semantic import SemanticHead
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.sparse import TorchEngine

SEMANTIC: dict[str, Any] = {"kind": "semantic"}
PARTICLES: dict[str, Any] = {"kind": "spatial_embedding"}
GAPS: dict[str, Any] = {"kind": "inpaint", "region": {"kind": "mask_boxes", "size": 4, "count": 2}}
ALL: dict[str, Any] = {"gaps": GAPS, "particles": PARTICLES, "voxel_class": SEMANTIC}
BACKBONE: dict[str, Any] = {"kind": "uresnet", "filters": 4, "depth": 2, "blocks": 1}

in_2d_and_3d = pytest.mark.parametrize("dim", [2, 3])


def model_config(heads: Mapping[str, Any] | None = None, dim: int = 3, **settings: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {"dim": dim, "backbone": BACKBONE, "heads": ALL if heads is None else heads, **settings}
    )


def network(heads: Mapping[str, Any] | None = None, dim: int = 3, **settings: Any) -> Network:
    torch.manual_seed(0)
    return Network(model_config(heads, dim, **settings))


def batch_for(config: ModelConfig, events: list[Event], *, masked: bool = True) -> Batch:
    """The events with the targets of all heads, masked or with the columns of a mask."""
    for head in config.heads.values():
        if masked or head.view() is None:
            events = [prepared(head, event, seed) for seed, event in enumerate(events)]
    return collate(events if masked else [add_empty_mask(event) for event in events])


def crowd(dim: int) -> list[Event]:
    return [random_event(1, dim, 30, 0), empty_event(dim, 1), random_event(2, dim, 50, 2)]


# Input


@in_2d_and_3d
@pytest.mark.parametrize(
    ("names", "coordinates", "flag"),
    [
        (("voxel_class",), False, False),
        (("particles",), True, False),
        (("gaps",), False, True),
        (("voxel_class", "gaps"), False, True),
        (("gaps", "particles", "voxel_class"), True, True),
    ],
)
def test_input_features(dim: int, names: tuple[str, ...], coordinates: bool, flag: bool) -> None:
    """The event's own features, then normalised coordinates for an embedding, then the flag of candidates."""
    model = network({name: ALL[name] for name in names}, dim)
    batch = batch_for(model.config, crowd(dim))
    expected = [batch.feats]
    if coordinates:
        expected.append((batch.coords.float() - 8) / 8)
    if flag:
        expected.append(batch.labels["candidate"].float()[:, None])
    found = model.input_features(batch)
    torch.testing.assert_close(found, torch.cat(expected, dim=1))
    stem = model.get_submodule("backbone.encoder.stem")
    assert isinstance(stem.weight, Tensor)
    assert found.shape[1] == stem.weight.shape[1]
    if flag:
        assert 0 < found[:, -1].mean() < 1


def test_without_a_candidate_column_no_voxel_is_a_candidate() -> None:
    model = network()
    batch = collate(crowd(3))
    assert "candidate" not in batch.labels
    assert not model.input_features(batch)[:, -1].any()


def test_wrong_number_of_axes_or_features_is_refused() -> None:
    with pytest.raises(ValueError, match="expects D = 3 axes and 1 features, the batch has 2 and 1"):
        network()(collate(crowd(2)))
    with pytest.raises(ValueError, match="expects D = 3 axes and 2 features, the batch has 3 and 1"):
        network(features=2)(collate(crowd(3)))


def test_several_features() -> None:
    model = network({"voxel_class": SEMANTIC}, features=3)
    event = random_event(0, 3)
    wide = event.replace(feats=np.stack([event.energy, event.energy**2, -event.energy], axis=1))
    assert model(collate([wide]))["voxel_class"]["logits"].shape == (40, 5)


def test_an_engine_of_choice() -> None:
    engine = TorchEngine()
    assert Network(model_config(), engine).engine is engine
    assert isinstance(network().engine, TorchEngine)


# Heads


@in_2d_and_3d
def test_every_head_reads_streams_of_its_own(dim: int) -> None:
    model = network(dim=dim)
    assert list(model.backbone.streams) == [  # type: ignore[arg-type]
        "gaps.features",
        "particles.embedding",
        "particles.seediness",
        "voxel_class.features",
    ]
    batch = batch_for(model.config, crowd(dim))
    out = model(batch)
    assert list(out) == list(ALL)
    assert set(out["particles"]) == {"embedding", "margin", "seediness"}
    assert out["voxel_class"]["logits"].shape == (batch.num_voxels, 5)
    terms = model.loss(out, batch)
    assert {name.split("/")[0] for name in terms} == set(ALL)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_streams_reach_the_head_they_are_named_after() -> None:
    """The gradient of one stream's output ends in one decoder."""
    model = network()
    batch = batch_for(model.config, crowd(3))
    for head, output, stream in (
        ("particles", "embedding", "particles.embedding"),
        ("particles", "seediness", "particles.seediness"),
        ("gaps", "energy", "gaps.features"),
        ("voxel_class", "logits", "voxel_class.features"),
    ):
        model.zero_grad()
        torch.autograd.backward(model(batch)[head][output].square().sum())
        touched = {
            name
            for name, decoder in model.get_submodule("backbone.decoders").named_children()
            if any(p.grad is not None and p.grad.any() for p in decoder.parameters())
        }
        assert {name.replace(":", ".") for name in touched} == {stream}


@pytest.mark.parametrize("names", [("voxel_class",), ("particles", "gaps"), ("voxel_class", "particles"), ()])
def test_some_heads_equal_the_same_of_all(names: tuple[str, ...]) -> None:
    model = network().eval()
    batch = batch_for(model.config, crowd(3))
    whole, some = model(batch), model(batch, names)
    assert list(some) == list(names)
    for name in names:
        for output, value in some[name].items():
            assert torch.equal(value, whole[name][output])
    assert {term.split("/")[0] for term in model.loss(some, batch)} == set(names)


@pytest.mark.parametrize("weighted", ALL)
def test_the_weight_of_a_head_acts_on_its_terms_alone(weighted: str) -> None:
    plain = network().eval()
    heads = {name: {**head, "weight": 2.5 if name == weighted else 1.0} for name, head in ALL.items()}
    scaled = network(heads).eval()
    batch = batch_for(plain.config, crowd(3))
    one, other = plain.loss(plain(batch), batch), scaled.loss(scaled(batch), batch)
    assert set(one) == set(other)
    for term, value in one.items():
        torch.testing.assert_close(other[term], value * (2.5 if term.startswith(f"{weighted}/") else 1.0))


def test_a_head_of_weight_zero_teaches_nothing() -> None:
    model = network({"voxel_class": {**SEMANTIC, "weight": 0.0}})
    batch = batch_for(model.config, crowd(3))
    torch.autograd.backward(torch.stack(list(model.loss(model(batch), batch).values())).sum())
    assert not any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_monitored_quantities_carry_the_name_of_the_head() -> None:
    model = network()
    batch = batch_for(model.config, crowd(3))
    assert list(model.monitor(model(batch), batch)) == ["voxel_class/accuracy"]


def test_batch_of_empty_events() -> None:
    model = network()
    batch = batch_for(model.config, [empty_event(3, 0), empty_event(3, 1)])
    terms = model.loss(model(batch), batch)
    assert all(value.item() == 0 for value in terms.values())
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    decoded = model.decode(model(batch), batch)
    assert len(decoded["gaps"].tables) == 2


@in_2d_and_3d
def test_a_batch_equals_its_events(dim: int) -> None:
    model = network(dim=dim).eval()
    batch = batch_for(model.config, crowd(dim))
    whole = model(batch)
    for number, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
        alone = model(collate([batch.events[number]]))
        for name, output in alone.items():
            for key, value in output.items():
                torch.testing.assert_close(value, whole[name][key][start:stop], rtol=1e-4, atol=1e-5)


def test_bf16_autocast() -> None:
    model = network()
    batch = batch_for(model.config, crowd(3))
    expected = model.loss(model(batch), batch)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(batch)
        terms = model.loss(out, batch)
    for name, value in terms.items():
        torch.testing.assert_close(value, expected[name], rtol=0.15, atol=0.05)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.decode(out, batch)


# Decoding


class EchoConfig(SemanticConfig):
    """A semantic head of another kind, as a user's package may add one."""

    kind: Literal["test_network:EchoConfig"] = "test_network:EchoConfig"  # type: ignore[assignment]

    def build(self, *, in_channels: int, dim: int) -> SemanticHead:
        del dim
        return SemanticHead(self, in_channels)


@pytest.mark.parametrize("order", list(itertools.permutations(ALL)))
def test_semantics_are_decoded_first_and_reach_the_embedding(order: tuple[str, ...]) -> None:
    """The network calls all voxels Michel; the clusters of the embedding must be those of Michel."""
    model = network({name: ALL[name] for name in order}).eval()
    batch = batch_for(model.config, [line_event(3)])
    out = model(batch)
    logits = torch.zeros_like(out["voxel_class"]["logits"])
    logits[:, SemanticConfig().classes.index("Michel")] = 9.0
    n = batch.num_voxels
    out["voxel_class"] = {"logits": logits}
    out["particles"] = {
        "embedding": batch.coords.float(),
        "margin": torch.full((n,), 1e-3),
        "seediness": torch.full((n,), 0.6),  # above the threshold of a Michel (0.55) and of no other class
    }
    decoded = model.decode(out, batch)
    assert set(decoded) == set(ALL)
    assert len(np.unique(decoded["particles"].columns["cluster"])) == n  # a seed in every voxel


def test_a_semantic_head_of_a_user_is_decoded_first_too() -> None:
    model = network({"particles": PARTICLES, "voxels": {"kind": "test_network:EchoConfig"}}).eval()
    batch = batch_for(model.config, [line_event(3)], masked=False)
    decoded = model.decode(model(batch), batch)
    assert "cluster" in decoded["particles"].columns


def test_two_semantic_heads_are_refused() -> None:
    """They would overwrite each other's voxel weights, and the embedding head could not know which to follow."""
    with pytest.raises(ValueError, match="only one head may classify voxels, but one and two do"):
        network({"one": SEMANTIC, "two": SEMANTIC})


def test_without_a_semantic_head_the_truth_serves() -> None:
    model = network({"particles": PARTICLES}).eval()
    batch = collate([line_event(3)])
    assert set(model.decode(model(batch), batch)["particles"].columns) == {"cluster_true_semantics"}


# Configuration


def test_two_masking_heads_are_refused() -> None:
    with pytest.raises(ValidationError, match="only one head may change the image, but first and second do"):
        model_config({"first": GAPS, "second": GAPS, "voxel_class": SEMANTIC})
    assert model_config().masking_head == "gaps"
    assert model_config({"voxel_class": SEMANTIC}).masking_head is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": {}}, "at least 1"),
        ({"heads": {"my head": SEMANTIC}}, "letters, digits and underscores"),
        ({"heads": {"a.b": SEMANTIC}}, "letters, digits and underscores"),
        ({"heads": {"a": {"kind": "semantik"}}}, "valid: semantic, spatial_embedding, voxel_graph, inpaint"),
        ({"heads": {"a": SEMANTIC}, "dim": 4}, "dim"),
        ({"heads": {"a": SEMANTIC}, "features": 0}, "features"),
        ({"heads": {"a": SEMANTIC}, "backbone": {"kind": "unet"}}, "valid: uresnet"),
        ({"heads": {"a": SEMANTIC}, "backbone": {"kind": "uresnet", "kernel_size": 4}}, "must be odd"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(settings)


@in_2d_and_3d
def test_state_dict_round_trip(dim: int) -> None:
    first, second = network(dim=dim), network(dim=dim)
    batch = batch_for(first.config, crowd(dim))
    first(batch)  # moves the running statistics
    for parameter in second.parameters():
        torch.nn.init.constant_(parameter, 3.0)
    second.load_state_dict(first.state_dict(), strict=True)
    one, two = first.eval()(batch), second.eval()(batch)
    for name, output in one.items():
        for key, value in output.items():
            assert torch.equal(value, two[name][key])


def test_config_round_trip() -> None:
    config = model_config()
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config


# What the network sees


def test_the_masking_share_is_a_setting_of_the_head() -> None:
    config = model_config().heads["gaps"]
    assert isinstance(config, InpaintConfig)
    assert config.mask_fraction == 0.5


def test_labels_do_not_reach_the_outputs() -> None:
    """Truth columns are for the loss alone; but the candidate flag is an input."""
    model = network().eval()
    batch = batch_for(model.config, crowd(3))
    blind = dataclasses.replace(batch, labels={"candidate": batch.labels["candidate"]})
    one, two = model(batch), model(blind)
    for name, output in one.items():
        for key, value in output.items():
            assert torch.equal(value, two[name][key])
    seen = dataclasses.replace(batch, labels={})
    assert not torch.equal(model(seen)["gaps"]["logit"], one["gaps"]["logit"])
