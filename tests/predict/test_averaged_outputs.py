"""Averages over symmetric copies and networks, against brute force on single events."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from lartpc_sparse.config import ChainConfig, PredictConfig
from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.symmetries import SymmetryConfig, moved_batch, symmetries
from lartpc_sparse.heads import VoxelGraphHead
from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.engines import registry
from lartpc_sparse.steps.averaged_outputs import Predictor

SIZE = (16, 16, 16)
Scores = dict[tuple[int, int], float]
HEADS = ("semantic", "gaps", "particles")


def event(number: int, voxels: int = 500, size: tuple[int, ...] = SIZE) -> Event:
    """Random voxels, some of them candidates."""
    rng = np.random.default_rng(number)
    cells = rng.choice(int(np.prod(size)), size=voxels, replace=False)
    coords = np.stack(np.unravel_index(np.sort(cells), size), axis=1).astype(np.int32)
    energy = rng.gamma(2.0, 1.0, voxels).astype(np.float32)
    labels = {"candidate": rng.random(voxels) < 0.2}
    return Event(EventKey("made", number), coords, energy, size, labels=labels)


def network(seed: int, *heads: str, dim: int = 3) -> Network:
    """Random weights, and statistics of the norms that matter."""
    torch.manual_seed(seed)
    kinds = {"semantic": "semantic", "gaps": "inpaint", "particles": "spatial_embedding", "graph": "voxel_graph"}
    model = ModelConfig.model_validate(
        {
            "dim": dim,
            "backbone": {"kind": "uresnet", "filters": 4, "depth": 2, "blocks": 1},
            "heads": {name: {"kind": kinds[name]} for name in heads},
        }
    )
    made = Network(model, registry.choose_engine("auto", "cpu").engine)
    for name, buffer in made.named_buffers():
        if "running_mean" in name:
            buffer.copy_(torch.randn(buffer.shape) * 0.1)
        elif "running_var" in name:
            buffer.copy_(torch.rand(buffer.shape) * 0.2 + 0.1)
    return made.eval()


@torch.inference_mode()
def logits(predictor: Predictor, batch: Batch, head: str = "semantic", key: str = "logits") -> Tensor:
    return predictor.outputs(batch, tuple(predictor.first.config.heads))[head][key]


@pytest.mark.parametrize(
    ("kind", "number"), [("flips", 8), ("permutations", 6), ("rotations", 24), ("all", 48)], ids=str
)
def test_all_symmetries_once_the_identity_first(kind: str, number: int) -> None:
    found = symmetries(SymmetryConfig(symmetries=kind), SIZE)
    assert len(set(found)) == len(found) == number
    assert found[0].axes == (0, 1, 2)
    assert found[0].signs == (1, 1, 1)
    corner = np.array([[0, 1, 3]], dtype=np.int32)
    assert len({tuple(frame.voxels(corner)[0].tolist()) for frame in found}) == number
    if kind == "rotations":
        for frame in found:
            matrix = np.zeros((3, 3))
            matrix[range(3), frame.axes] = frame.signs
            assert np.linalg.det(matrix) == pytest.approx(1)
    few = symmetries(SymmetryConfig(symmetries=kind, count=5), SIZE)
    assert few == symmetries(SymmetryConfig(symmetries=kind, count=5), SIZE)
    assert few[0] == found[0]
    assert len(set(few)) == 5
    assert set(few) <= set(found)


def test_axes_in_two_dimensions_and_unequal_ones() -> None:
    plane = (3456, 1008)
    assert len(symmetries(SymmetryConfig(), plane)) == 4
    assert [frame.signs for frame in symmetries(SymmetryConfig(axes=(1,)), plane)] == [(1, 1), (1, -1)]
    with pytest.raises(UserError, match=r"predict\.augmentation.*\[3456, 1008\]"):
        symmetries(SymmetryConfig(symmetries="rotations"), plane)
    with pytest.raises(UserError, match=r"axes 0\.\.1"):
        symmetries(SymmetryConfig(axes=(2,)), plane)


def test_a_moved_batch_is_a_batch_and_comes_back() -> None:
    batch = collate([event(0), event(1, voxels=0), event(2)])
    for frame in symmetries(SymmetryConfig(symmetries="all"), SIZE):
        copy = moved_batch(batch, frame)
        moved = [each.moved(frame) for each in batch.events]
        reference = collate(moved)  # sorts by itself
        for name in ("coords", "feats", "energy", "offsets"):
            assert torch.equal(getattr(copy.batch, name), getattr(reference, name))
        assert torch.equal(copy.batch.labels["candidate"], reference.labels["candidate"])
        assert torch.equal(copy.batch.energy[copy.rows], batch.energy)
        assert torch.equal(copy.batch.coords[copy.rows], torch.from_numpy(frame.voxels(batch.coords.numpy())))


def test_the_identity_alone_changes_nothing() -> None:
    batch, made = collate([event(0), event(1)]), network(0, *HEADS)
    plain = logits(Predictor((made,)), batch)
    same = logits(Predictor((made,), SymmetryConfig(count=1), HEADS), batch)
    assert torch.equal(plain, same)


def test_the_average_over_copies_is_that_of_events_moved_by_hand() -> None:
    made, config = network(0, "semantic", "gaps"), SymmetryConfig(symmetries="all", count=7)
    events = [event(0), event(1, voxels=0), event(2, voxels=1)]
    predictor = Predictor((made,), config, ("semantic", "gaps"))
    batch = collate(events)
    brute: list[dict[str, Tensor]] = []
    for each in events:
        total: dict[str, Tensor] = {}
        frames = symmetries(config, SIZE)
        for frame in frames:
            moved = collate([each.moved(frame)])
            with torch.inference_mode():
                output = made(moved)
            values = {
                "semantic": torch.softmax(output["semantic"]["logits"], 1),
                "gaps": torch.sigmoid(output["gaps"]["logit"]),
                "energy": output["gaps"]["energy"],
            }
            where = {tuple(row): number for number, row in enumerate(moved.coords.tolist())}
            rows = [where[tuple(row)] for row in frame.voxels(each.coords).tolist()]
            for name, value in values.items():
                total[name] = total.get(name, 0) + value[rows] / len(frames)
        brute.append(total)
    expected = {name: torch.cat([total[name] for total in brute]) for name in brute[0]}
    found = logits(predictor, batch)
    torch.testing.assert_close(torch.softmax(found, 1), expected["semantic"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.sigmoid(logits(predictor, batch, "gaps", "logit")), expected["gaps"])
    torch.testing.assert_close(logits(predictor, batch, "gaps", "energy"), expected["energy"])


def test_a_mirrored_event_has_mirrored_results() -> None:
    made = network(0, "semantic")
    plain, averaged = Predictor((made,)), Predictor((made,), SymmetryConfig(), ("semantic",))
    batch = collate([event(0)])
    for frame in symmetries(SymmetryConfig(), SIZE)[1:]:
        copy = moved_batch(batch, frame)
        mirrored = torch.softmax(logits(averaged, copy.batch)[copy.rows], 1)
        torch.testing.assert_close(mirrored, torch.softmax(logits(averaged, batch), 1), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(logits(plain, copy.batch)[copy.rows], logits(plain, batch), atol=1e-3)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    members = tuple(network(seed, "semantic") for seed in range(3))
    batch = collate([event(0), event(1)])
    single = [torch.softmax(logits(Predictor((member,)), batch), 1) for member in members]
    found = torch.softmax(logits(Predictor(members, averaged=("semantic",)), batch), 1)
    torch.testing.assert_close(found, sum(single) / 3, rtol=1e-5, atol=1e-6)
    twice = Predictor((members[0], members[0]), averaged=("semantic",))
    torch.testing.assert_close(torch.softmax(logits(twice, batch), 1), single[0], rtol=1e-5, atol=1e-7)
    # Copies and members together: every pair counts the same.
    config = SymmetryConfig(count=3)
    both = torch.softmax(logits(Predictor(members, config, ("semantic",)), batch), 1)
    each = [torch.softmax(logits(Predictor((member,), config, ("semantic",)), batch), 1) for member in members]
    torch.testing.assert_close(both, sum(each) / 3, rtol=1e-5, atol=1e-6)


def test_certain_voxels_stay_certain() -> None:
    head = network(0, "semantic").head("semantic")
    sure = torch.tensor([[200.0, -200, -200, -200, -200]])
    mean = head.average([{"logits": sure}, {"logits": sure}])["logits"]
    assert torch.equal(torch.softmax(mean, 1), torch.softmax(sure, 1))


def test_a_head_that_cannot_be_averaged_says_so_or_is_left_out() -> None:
    made, batch, config = network(0, *HEADS), collate([event(0)]), SymmetryConfig(count=2)
    with pytest.raises(UserError, match=r"head particles cannot be averaged.*predict\.average_heads"):
        logits(Predictor((made,), config, HEADS), batch)
    some = Predictor((made,), config, ("semantic",))
    for key in ("embedding", "margin", "seediness"):
        assert torch.equal(logits(some, batch, "particles", key), logits(Predictor((made,)), batch, "particles", key))
    assert not torch.equal(logits(some, batch), logits(Predictor((made,)), batch))


@pytest.mark.parametrize("compiled", [True, False])
def test_an_edge_has_the_mean_of_its_scores_in_all_copies(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr("lartpc_sparse.heads.voxel_graph.missing_reason", lambda: "not wanted")
    made, batch = network(0, "graph"), collate([event(0), event(1, 50)])
    config = SymmetryConfig(symmetries="all", count=5)
    head = made.head("graph")
    assert isinstance(head, VoxelGraphHead)
    classes = np.arange(batch.num_voxels) % 2

    def by_pair(found: Batch, name_of: np.ndarray, averaged: tuple[str, ...], copies: SymmetryConfig | None) -> Scores:
        with torch.inference_mode():
            output = Predictor((made,), copies, averaged).outputs(found, ("graph",))["graph"]
            own = np.empty(found.num_voxels, dtype=np.int64)
            own[name_of] = classes
            pairs, scores = head.scored_edges(output, found, own)
        number = np.argsort(name_of)[pairs]
        return {(min(ends), max(ends)): float(score) for ends, score in zip(number.tolist(), scores, strict=True)}

    each = []
    for frame in symmetries(config, SIZE):
        copy = moved_batch(batch, frame)
        each.append(by_pair(copy.batch, copy.rows.numpy(), (), None))
    found = by_pair(batch, np.arange(batch.num_voxels), ("graph",), config)
    assert len(found) > 100
    assert len(each) == 5
    spread = [abs(each[0][pair] - each[1][pair]) for pair in found]
    assert max(spread) > 1e-3  # copies are seen differently
    for pair, score in found.items():
        assert score == pytest.approx(sum(one[pair] for one in each) / 5, abs=1e-4)


def test_edges_are_not_averaged_over_networks() -> None:
    members, batch = tuple(network(seed, "semantic", "graph") for seed in range(2)), collate([event(0)])
    with pytest.raises(UserError, match=r"what head graph says.*predict\.average_heads"):
        logits(Predictor(members, None, ("semantic", "graph")), batch)
    some = Predictor(members, None, ("semantic",))
    first = logits(Predictor(members[:1]), batch, "graph", "features")
    assert torch.equal(logits(some, batch, "graph", "features"), first)


def test_two_dimensions() -> None:
    made, batch = network(0, "semantic", dim=2), collate([event(0, 60, (32, 16))])
    found = logits(Predictor((made,), SymmetryConfig(), ("semantic",)), batch)
    every = []
    for signs in itertools.product((1, -1), repeat=2):
        frame = next(one for one in symmetries(SymmetryConfig(), (32, 16)) if one.signs == signs)
        copy = moved_batch(batch, frame)
        every.append(torch.softmax(logits(Predictor((made,)), copy.batch)[copy.rows], 1))
    torch.testing.assert_close(torch.softmax(found, 1), sum(every) / 4, rtol=1e-5, atol=1e-6)


def test_settings_that_contradict_one_another() -> None:
    with pytest.raises(ValidationError, match="exclude one another"):
        PredictConfig(checkpoint="best", ensemble=("best", "last"))
    with pytest.raises(ValidationError, match="there is neither"):
        PredictConfig(average_heads=("semantic",))


@pytest.mark.parametrize(
    ("predict", "said"),
    [
        ({"ensemble": ["a", "b"]}, "what head graph says is read by its own network alone"),
        ({"ensemble": ["a", "b"], "average_heads": ["semantic", "particles"]}, "head particles cannot be averaged"),
        ({"augmentation": {"count": 2}}, "head particles cannot be averaged"),
        ({"augmentation": {"count": 2}, "average_heads": ["semantic", "graph"]}, None),
        ({"ensemble": ["a", "b"], "average_heads": ["semantic"]}, None),
        ({"ensemble": ["a"], "augmentation": {"count": 1}}, None),
        ({}, None),
    ],
)
def test_a_chain_whose_heads_cannot_be_averaged_is_refused_before_it_runs(predict: object, said: str | None) -> None:
    heads = {
        "semantic": {"kind": "semantic"},
        "graph": {"kind": "voxel_graph"},
        "particles": {"kind": "spatial_embedding"},
    }
    chain = {"data": {"test": {"kind": "sample"}}, "model": {"dim": 3, "heads": heads}, "predict": predict}
    if said is None:
        ChainConfig.model_validate(chain)
        return
    with pytest.raises(ValidationError, match=said):
        ChainConfig.model_validate(chain)
