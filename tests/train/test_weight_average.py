"""Averages of the weights: their arithmetic against brute force, and what the callback gives to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.jobs import Ranks
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.sparse.engines import registry
from lartpc_sparse.train import TrainConfig, TrainingModule
from lartpc_sparse.train.average_config import AverageConfig, EmaConfig, SwaConfig
from lartpc_sparse.train.averaging import WeightAverage

MODEL = ModelConfig.model_validate(
    {
        "backbone": {"kind": "uresnet", "filters": 4, "depth": 1, "blocks": 1},
        "heads": {"semantic": {"kind": "semantic"}},
    }
)
STEPS = 8


def events(first: int, number: int) -> Batch:
    """A batch of the packaged sample."""
    reader = SampleConfig(split="test").build()
    return collate([reader.read(index) for index in range(first, first + number)])


class Clock(pl.Trainer):
    """A trainer of which the callback sees the number of steps alone."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    @property
    def global_step(self) -> int:
        return self.number


def module(seed: int = 0) -> TrainingModule:
    """A network on the engine of the CPU, which prepares weights for inference."""
    torch.manual_seed(seed)
    network = Network(MODEL, registry.choose_engine("auto", "cpu").engine)
    return TrainingModule(
        network,
        TrainConfig(),
        total_steps=STEPS,
        total_batches=STEPS,
        batches_done=0,
        config_yaml="",
        folder=Path("unused"),
        ranks=Ranks(),
    )


def step(trained: TrainingModule, average: WeightAverage, number: int) -> dict[str, Tensor]:
    """Weights as an optimiser might leave them after step `number`, seen by the callback; a copy of them."""
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for value in trained.network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            else:
                value.fill_(number)
    average.on_train_batch_end(Clock(number), trained, None, None, number)
    average.on_train_batch_end(
        Clock(number), trained, None, None, number
    )  # an accumulated batch: no step, does not count
    return {name: value.clone() for name, value in trained.network.state_dict().items()}


def averaged(trained: TrainingModule, average: WeightAverage) -> dict[str, Tensor]:
    """The weights that are validated."""
    average.on_validation_start(Clock(), trained)
    found = {name: value.clone() for name, value in trained.network.state_dict().items()}
    average.on_validation_end(Clock(), trained)
    return found


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (EmaConfig(decay=0.5, warmup=False), [1 / 128, 1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2]),
        (SwaConfig(start_fraction=0.5), [0, 0, 0, 0, 1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        (SwaConfig(start_fraction=0.5, every_steps=3), [0, 0, 0, 0, 1 / 2, 0, 0, 1 / 2]),
        (SwaConfig(start_fraction=0), [1 / 8] * 8),
    ],
    ids=["ema", "swa", "swa every 3", "swa of all"],
)
def test_the_average_is_the_sum_with_its_shares(config: AverageConfig, shares: list[float]) -> None:
    trained, average = module(), WeightAverage(config, lambda number: [])
    states = [step(trained, average, number) for number in range(1, STEPS + 1)]
    found = averaged(trained, average)
    for name, value in found.items():
        if value.is_floating_point():
            brute = sum(share * state[name].double() for share, state in zip(shares, states, strict=True))
            torch.testing.assert_close(value.double(), brute, rtol=1e-6, atol=1e-6)
    now = trained.network.state_dict()
    assert all(torch.equal(now[name], value) for name, value in states[-1].items())  # the optimiser's are back


def test_a_warm_memory_is_short_at_first() -> None:
    trained, average = module(), WeightAverage(EmaConfig(decay=0.999), lambda number: [])
    states = [step(trained, average, number) for number in (1, 2)]
    name = "heads.semantic.classify.weight"
    decay = 2 / 11
    expected = decay * states[0][name] + (1 - decay) * states[1][name]
    torch.testing.assert_close(averaged(trained, average)[name], expected)


def test_before_it_begins_the_weights_are_those_of_the_optimiser() -> None:
    trained, average = module(), WeightAverage(SwaConfig(start_fraction=0.5), lambda number: [])
    state = step(trained, average, 1)
    assert all(torch.equal(value, state[name]) for name, value in averaged(trained, average).items())
    checkpoint: dict[str, Any] = {"state_dict": trained.state_dict()}
    average.on_save_checkpoint(Clock(), trained, checkpoint)
    assert set(checkpoint) == {"state_dict"}


def test_validation_predicts_with_the_average_and_not_with_what_was_prepared() -> None:
    """The network prepares fused forms of its weights in inference; other weights must not meet them."""
    trained, average = module(), WeightAverage(SwaConfig(start_fraction=0), lambda number: [])
    batch, network = events(0, 2), trained.network
    step(trained, average, 1)
    own = step(trained, average, 2)
    network.eval()

    def logits() -> Tensor:
        with torch.inference_mode():
            return network(batch)["semantic"]["logits"].clone()

    def of(state: dict[str, Tensor]) -> Tensor:
        fresh = Network(MODEL, network.engine).eval()
        fresh.load_state_dict(state)
        with torch.inference_mode():
            return fresh(batch)["semantic"]["logits"].clone()

    before = logits()
    with torch.inference_mode():
        average.on_validation_start(Clock(), trained)
    during = logits()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        average.on_validation_end(Clock(), trained)
    assert torch.equal(before, of(own))
    assert torch.equal(during, of(state))
    assert torch.equal(logits(), before)
    assert not torch.allclose(during, before)


def test_recomputed_statistics_are_those_of_the_averaged_network() -> None:
    batches = [events(0, 2), events(2, 2)]
    asked: list[int] = []

    def some(number: int) -> list[Batch]:
        asked.append(number)
        return batches

    config = SwaConfig(start_fraction=0, batch_norm="recomputed", batch_norm_batches=2)
    trained, average = module(), WeightAverage(config, some)
    step(trained, average, 1)
    step(trained, average, 2)
    with torch.inference_mode():
        found = averaged(trained, average)
    again = averaged(trained, average)
    assert asked == [2]  # once for one state of the average
    assert all(torch.equal(again[name], value) for name, value in found.items())

    reference = Network(MODEL, trained.network.engine)
    reference.load_state_dict(found)
    stem = reference.backbone.encoder.stem
    seen: list[Tensor] = []
    stem.register_forward_hook(lambda layer, inputs, output: seen.append(output.feats.detach()))
    with torch.no_grad():
        for batch in batches:
            reference.train()(batch)
    mean = torch.stack([feats.mean(0) for feats in seen]).mean(0)
    variance = torch.stack([feats.var(0) for feats in seen]).mean(0)
    name = "backbone.encoder.blocks.0.0.path.0.0"
    torch.testing.assert_close(found[f"{name}.running_mean"], mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[f"{name}.running_var"], variance, rtol=1e-4, atol=1e-5)
    assert trained.network.get_submodule(name).momentum == 0.1


@pytest.mark.parametrize("statistics", ["averaged", "recomputed"])
def test_a_checkpoint_holds_the_average_and_continues(statistics: str) -> None:
    config = EmaConfig(decay=0.5, batch_norm=statistics, batch_norm_batches=1)
    trained, average = module(), WeightAverage(config, lambda number: [events(0, 1)])
    step(trained, average, 1)
    own = step(trained, average, 2)
    checkpoint: dict[str, Any] = {"state_dict": trained.state_dict()}
    average.on_save_checkpoint(Clock(), trained, checkpoint)
    now = trained.network.state_dict()
    assert all(torch.equal(now[name], value) for name, value in own.items())
    for name, value in averaged(trained, average).items():
        assert torch.equal(checkpoint["state_dict"][f"network.{name}"], value)

    other, continued = module(seed=1), WeightAverage(config, lambda number: [events(0, 1)])
    continued.on_load_checkpoint(Clock(), other, checkpoint)
    continued.load_state_dict(average.state_dict())
    assert all(torch.equal(other.network.state_dict()[name], value) for name, value in own.items())
    step(trained, average, 3)
    step(other, continued, 3)
    first, second = averaged(trained, average), averaged(other, continued)
    assert all(torch.equal(second[name], value) for name, value in first.items())
