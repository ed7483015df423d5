"""The signal head under the contract, its losses, its threshold, and its clusters."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from head_contract import HeadContract
from labelled_events import CLASSES
from torch import Tensor

from lartpc_sparse.cluster.pixels import CLUSTER_COLUMNS
from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads import SignalConfig
from lartpc_sparse.heads.signal.losses import SignalBceConfig, SignalDiceConfig, SignalFocalConfig
from lartpc_sparse.heads.signal.tuning import SignalTuner
from lartpc_sparse.schema import UserError

SIGNAL = ("MIP", "HIP")


class TestSignalHead(HeadContract):
    config = SignalConfig(signal=SIGNAL, losses=(SignalFocalConfig(), SignalBceConfig(), SignalDiceConfig()))
    terms = ("focal", "bce", "dice")

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        return {"logit": (n,)}

    def other_decoding(self) -> dict[str, Any]:
        return {"threshold": 0.3, "recall": {"target": 0.8}, "keep_probability": 0.02, "clusters": {"min_pixels": 2}}

    def truth(self, batch: Batch) -> Tensor:
        return self.config.truth_of(batch)  # type: ignore[attr-defined]

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        return {"logit": torch.where(self.truth(batch) == 1, 20.0, -20.0)}

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        return {"logit": torch.where(self.truth(batch) == 1, -20.0, 20.0)}

    def check_perfect(self, result: dict[str, Any]) -> None:
        assert result["pixels"]["recall"] == result["pixels"]["precision"] == 1.0

    def check_bad(self, result: dict[str, Any]) -> None:
        assert result["pixels"]["recall"] == 0.0

    def nothing_to_learn(self, batch: Batch) -> Batch:
        labels = {**batch.labels, "semantic": torch.full_like(batch.labels["semantic"], -1)}
        return dataclasses.replace(batch, labels=labels)


def logits_and_truth() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logit = 3 * torch.randn(40, generator=generator, dtype=torch.float64)
    truth = torch.randint(-1, 2, (40,), generator=generator)
    return logit, truth


@pytest.mark.parametrize("form", ["positive_weight", "normalised"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_is_the_formula(form: str, gamma: float) -> None:
    logit, truth = logits_and_truth()
    alpha = 4.0 if form == "positive_weight" else 0.8
    total = count = signal = 0.0
    for value, kind in zip(logit.tolist(), truth.tolist(), strict=True):
        if kind < 0:
            continue
        p = 1 / (1 + np.exp(-value))
        p_t = p if kind else 1 - p
        weight = alpha if kind else (1.0 if form == "positive_weight" else 1 - alpha)
        total -= weight * (1 - p_t) ** gamma * np.log(p_t)
        count += 1
        signal += kind
    config = SignalFocalConfig(alpha=alpha, gamma=gamma, form=form)
    assert config.term(logit, truth).item() == pytest.approx(total / count)
    by_signal = config.model_copy(update={"divide_by": "signal"})
    assert by_signal.term(logit, truth).item() == pytest.approx(total / signal)


def test_bce_is_that_of_torch() -> None:
    logit, truth = logits_and_truth()
    known = truth >= 0
    weight = torch.where(truth == 1, 3.0, 1.0).double()[known]
    each = F.binary_cross_entropy_with_logits(logit[known], truth[known].double(), reduction="none")
    expected = (each * weight).sum() / weight.sum()
    torch.testing.assert_close(SignalBceConfig(positive_weight=3).term(logit, truth), expected)


def test_a_normalised_alpha_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="must be below 1"):
        SignalFocalConfig(alpha=4, form="normalised")
    with pytest.raises(ValueError, match="differ in kind"):
        SignalConfig(losses=(SignalBceConfig(), SignalBceConfig()))


def event(seed: int, entry: int) -> tuple[Event, np.ndarray]:
    """An image of 20 x 20 pixels with three recoils of 4, 2 and 1 pixels, and a score of every pixel."""
    rng = np.random.default_rng(seed)
    coords = np.argwhere(np.ones((20, 20))).astype(np.int32)
    instance = np.full(400, -1, dtype=np.int64)
    instance[[21, 22, 41, 42]], instance[[150, 151]], instance[300] = 0, 1, 2
    semantic = (instance >= 0).astype(np.int64)
    score = np.where(semantic == 1, rng.uniform(0.2, 1, 400), rng.uniform(0, 0.4, 400))
    labels = {"semantic": semantic, "instance": instance}
    energy = rng.normal(size=400).astype(np.float32)
    made = Event(EventKey("made", entry), coords, energy, (20, 20), classes=("background", "signal"), labels=labels)
    return made, score


@pytest.mark.parametrize(("of", "least"), [("pixels", 1), ("recoils", 1), ("recoils", 2)])
def test_the_tuner_finds_the_highest_threshold_of_brute_force(of: str, least: int) -> None:
    config = SignalConfig.model_validate({"recall": {"target": 0.8, "of": of, "min_pixels": least}})
    tuner = SignalTuner(config)
    made = [event(seed, seed) for seed in range(6)]
    for first in (0, 3):
        batch = collate([one for one, _ in made[first : first + 3]])
        score = torch.from_numpy(np.concatenate([score for _, score in made[first : first + 3]]))
        tuner.update({"logit": torch.logit(score)}, batch)
    tuned = tuner.result()
    for trial in tuned.trials:
        found = total = 0
        for one, score in made:
            chosen = torch.sigmoid(torch.logit(torch.from_numpy(score))).numpy() >= trial["threshold"]
            instance = one.labels["instance"]
            if of == "pixels":
                found, total = found + int((chosen & (instance >= 0)).sum()), total + int((instance >= 0).sum())
            else:
                found += sum(int((chosen & (instance == number)).sum() >= least) for number in range(3))
                total += 3
        assert trial["pixel_recall" if of == "pixels" else "recoil_recall"] == pytest.approx(found / total)
    good = [t["threshold"] for t in tuned.trials if t["pixel_recall" if of == "pixels" else "recoil_recall"] >= 0.8]
    assert tuned.settings == {"threshold": max(good, default=tuned.trials[0]["threshold"])}


def test_a_recall_out_of_reach_is_said(caplog: pytest.LogCaptureFixture) -> None:
    made, score = event(1, 0)
    tuner = SignalTuner(SignalConfig.model_validate({"recall": {"target": 1.0}}))
    score = np.where(made.labels["semantic"] == 1, np.float32(1e-4), score).astype(np.float32)
    tuner.update({"logit": torch.logit(torch.from_numpy(score))}, collate([made]))
    with caplog.at_level("WARNING", "lartpc_sparse"):
        assert tuner.result().settings == {"threshold": 0.002}
    assert "no threshold reaches a recall of 1 of pixels: at the lowest, 0.002, it is 0" in caplog.text


def test_recoils_cannot_be_counted_without_their_truth() -> None:
    made, score = event(1, 0)
    made = made.replace(labels={"semantic": made.labels["semantic"]})
    tuner = SignalTuner(SignalConfig.model_validate({"recall": {"of": "recoils"}}))
    tuner.update({"logit": torch.logit(torch.from_numpy(score))}, collate([made]))
    with pytest.raises(UserError, match="no recoils"):
        tuner.result()


def test_without_signal_the_threshold_stays() -> None:
    made, score = event(1, 0)
    batch = collate([made.with_labels(semantic=np.zeros(400, dtype=np.int64))])
    tuner = SignalTuner(SignalConfig(threshold=0.33))
    tuner.update({"logit": torch.logit(torch.from_numpy(score))}, batch)
    assert tuner.result().settings == {"threshold": 0.33}


def test_clusters_and_their_table_join_the_prediction() -> None:
    made, _ = event(2, 0)
    selected = (made.labels["instance"] >= 0).astype(np.int8)
    prediction = Prediction(made.key, made.coords, made.energy, columns={"s/selected": selected})
    config = SignalConfig.model_validate({"clusters": {"method": {"kind": "connected"}}})
    found = config.finish("s", prediction)
    cluster = found.columns["s/cluster"]
    assert set(cluster[selected == 0]) == {-1}
    assert len(np.unique(cluster[selected == 1])) == 3
    assert set(found.tables["s"]) == set(CLUSTER_COLUMNS)
    assert found.tables["s"]["integral"][0] == pytest.approx(16 * made.energy[[21, 22, 41, 42]].sum(), rel=1e-5)


def test_small_probabilities_are_written_as_zero() -> None:
    made, _ = event(3, 0)
    head = SignalConfig(keep_probability=0.1, threshold=0.6).build(in_channels=2, dim=2)
    logit = torch.linspace(-5, 5, 400)
    columns = head.decode({"logit": logit}, collate([made]), None).columns
    probability = torch.sigmoid(logit).numpy()
    np.testing.assert_allclose(columns["probability"], np.where(probability < 0.1, 0, probability), rtol=1e-6)
    np.testing.assert_array_equal(columns["selected"], probability >= 0.6)
    assert CLASSES  # the classes of the contract are not those of frames
