"""The contract suite of SEAM 3: what every head must pass, in 2D and in 3D.

A head opts in with a short subclass:

    class TestMyHead(HeadContract):
        config = MyConfig()
        terms = ("my_term",)

        def shapes(self, n, dim): return {"raw": (n, 3)}
        def perfect(self, batch): ...  # an output that says the truth
        def bad(self, batch): ...      # and one that does not
        def check_perfect(self, result): ...
        def check_bad(self, result): ...
        def nothing_to_learn(self, batch): ...  # the batch, without what the loss needs
        def other_decoding(self): ...  # another value of each option in `decoding`
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from labelled_events import CLASSES, empty_event, head_batch, line_event, random_event, to_predictions
from torch import Tensor

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads import Decoded, Head, HeadConfig
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import SparseTensor

CHANNELS = 6

in_2d_and_3d = pytest.mark.parametrize("dim", [2, 3])


def crowd(dim: int) -> list[Event]:
    """Three events; the middle one is empty."""
    return [random_event(1, dim, 30, 0), empty_event(dim, 1), random_event(2, dim, 50, 2)]


def part_of(output: dict[str, Tensor], rows: slice) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in output.items()}


class HeadContract:
    """Building, forward, loss, decoding and metrics of one head."""

    config: HeadConfig
    terms: tuple[str, ...]

    def shapes(self, n: int, dim: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs of N voxels."""
        raise NotImplementedError

    def perfect(self, batch: Batch) -> dict[str, Tensor]:
        """An output that says the truth."""
        raise NotImplementedError

    def bad(self, batch: Batch) -> dict[str, Tensor]:
        """An output that is wrong everywhere."""
        raise NotImplementedError

    def check_perfect(self, result: dict[str, Any]) -> None:
        """The scores of `perfect`."""
        raise NotImplementedError

    def check_bad(self, result: dict[str, Any]) -> None:
        """The scores of `bad`."""
        raise NotImplementedError

    def nothing_to_learn(self, batch: Batch) -> Batch:
        """The same voxels with no label that the loss could use."""
        raise NotImplementedError

    def other_decoding(self) -> dict[str, Any]:
        """Another value for each option of `HeadConfig.decoding`."""
        raise NotImplementedError

    # What the tests are made of

    def head(self, dim: int) -> Head:
        torch.manual_seed(0)
        return self.config.build(in_channels=CHANNELS, dim=dim)

    def batch(self, events: Sequence[Event]) -> Batch:
        return head_batch(self.config, events)

    def features(self, batch: Batch, dtype: torch.dtype = torch.float32) -> dict[str, SparseTensor]:
        """Random features that want a gradient, one tensor a stream."""
        generator = torch.Generator().manual_seed(1)
        feats = {
            stream: torch.randn(batch.num_voxels, CHANNELS, generator=generator).to(dtype).requires_grad_()
            for stream in self.config.streams
        }
        return {name: SparseTensor.build(batch.coords, x, batch.offsets) for name, x in feats.items()}

    def scores(self, batch: Batch, output: dict[str, Tensor]) -> dict[str, Any]:
        """Through decoding and the evaluator, as the predict and evaluate steps do it."""
        decoded = self.head(batch.coords.shape[1]).decode(output, batch, None)
        return self.evaluate(to_predictions(batch, {"mine": decoded}))

    def evaluate(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        evaluator = self.config.evaluator("mine", CLASSES)
        for prediction in predictions:
            evaluator.update(prediction)
        result = evaluator.result()
        json.dumps(result, allow_nan=False)
        assert result["kind"] == self.config.kind
        return result

    def assert_zero_and_attached(self, batch: Batch) -> None:
        head, features = self.head(batch.coords.shape[1]), self.features(batch)
        terms = head.loss(head(features, batch), batch)
        assert set(terms) == set(self.terms)
        assert all(value.item() == 0 for value in terms.values())
        torch.autograd.backward(sum(terms.values(), torch.zeros(())))  # raises when not attached
        for x in features.values():
            assert x.feats.grad is None or not x.feats.grad.any()

    # Building

    def test_config_round_trip_through_the_union(self) -> None:
        model = ModelConfig.model_validate({"heads": {"mine": self.config.model_dump(mode="json")}})
        assert model.heads["mine"] == self.config
        assert type(model.heads["mine"]) is type(self.config)

    def test_builds_from_its_kind_alone(self) -> None:
        model = ModelConfig.model_validate({"heads": {"mine": {"kind": self.config.kind}}})
        assert isinstance(model.heads["mine"].build(in_channels=CHANNELS, dim=3), Head)

    def test_unknown_settings_are_refused(self) -> None:
        with pytest.raises(ValueError, match="tresholt"):
            ModelConfig.model_validate({"heads": {"mine": {"kind": self.config.kind, "tresholt": 1}}})
        with pytest.raises(ValueError, match="greater than or equal to 0"):
            ModelConfig.model_validate({"heads": {"mine": {"kind": self.config.kind, "weight": -1}}})

    def test_state_dict_round_trip(self) -> None:
        first, second = self.head(3), self.head(3)
        for parameter in first.parameters():
            torch.nn.init.normal_(parameter)
        second.load_state_dict(first.state_dict())
        batch = self.batch(crowd(3))
        features = self.features(batch)
        one, two = first(features, batch), second(features, batch)
        assert all(torch.equal(one[name], two[name]) for name in one)

    @in_2d_and_3d
    def test_a_training_does_not_depend_on_the_options_of_decoding(self, dim: int) -> None:
        options = self.config.model_dump(mode="json")
        changed = json.loads(json.dumps(self.other_decoding()))
        assert changed.keys() == self.config.decoding
        other = type(self.config).model_validate({**options, **changed})
        same = other.model_dump(mode="json")
        assert {name for name in options if options[name] != same[name]} == self.config.decoding
        mine = self.head(dim)
        torch.manual_seed(0)
        heads = mine, other.build(in_channels=CHANNELS, dim=dim)
        torch.testing.assert_close(heads[0].state_dict(), heads[1].state_dict(), rtol=0, atol=0)
        batch, again = self.batch(crowd(dim)), head_batch(other, crowd(dim))
        torch.testing.assert_close(dict(batch.labels), dict(again.labels), rtol=0, atol=0)
        assert (self.config.streams, self.config.hints, self.config.view_fraction) == (
            other.streams,
            other.hints,
            other.view_fraction,
        )
        losses = [head.loss(head(self.features(batch), batch), batch) for head in heads]
        torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=0)

    # Forward

    @in_2d_and_3d
    def test_forward_shapes(self, dim: int) -> None:
        batch = self.batch(crowd(dim))
        output = self.head(dim)(self.features(batch), batch)
        assert {name: tuple(value.shape) for name, value in output.items()} == self.shapes(batch.num_voxels, dim)
        assert all(value.dtype == torch.float32 and torch.isfinite(value).all() for value in output.values())

    @in_2d_and_3d
    def test_each_voxel_is_seen_alone(self, dim: int) -> None:
        """Heads are pointwise: what a voxel gets does not depend on the others of the batch."""
        batch = self.batch(crowd(dim))
        head, features = self.head(dim), self.features(batch)
        whole = head(features, batch)
        for number, rows in enumerate(itertools.pairwise(batch.offsets.tolist())):
            chosen = slice(*rows)
            one = collate([batch.events[number]])
            own = {name: SparseTensor.build(one.coords, x.feats[chosen], one.offsets) for name, x in features.items()}
            for name, value in head(own, one).items():
                torch.testing.assert_close(value, whole[name][chosen])

    # Loss

    @in_2d_and_3d
    def test_loss_terms_are_finite_and_reach_every_parameter(self, dim: int) -> None:
        batch = self.batch(crowd(dim))
        head, features = self.head(dim), self.features(batch)
        terms = head.loss(head(features, batch), batch)
        assert set(terms) == set(self.terms)
        for name, value in terms.items():
            assert value.shape == (), name
            assert torch.isfinite(value), name
            assert value > 0, name
        torch.autograd.backward(sum(terms.values(), torch.zeros(())))
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.any(), name
        for stream, x in features.items():
            assert x.feats.grad is not None, stream
            assert x.feats.grad.any(), stream

    @in_2d_and_3d
    def test_loss_without_anything_to_learn_from(self, dim: int) -> None:
        self.assert_zero_and_attached(self.nothing_to_learn(self.batch(crowd(dim))))

    @in_2d_and_3d
    @pytest.mark.parametrize("count", [1, 3])
    def test_loss_of_empty_events(self, dim: int, count: int) -> None:
        self.assert_zero_and_attached(self.batch([empty_event(dim, entry) for entry in range(count)]))

    @in_2d_and_3d
    def test_empty_events_change_no_loss(self, dim: int) -> None:
        with_empty = self.batch(crowd(dim))
        without = collate([event for event in with_empty.events if len(event)])
        head = self.head(dim)
        features = self.features(with_empty)
        terms = head.loss(head(features, with_empty), with_empty)
        again = {n: SparseTensor.build(without.coords, x.feats, without.offsets) for n, x in features.items()}
        for name, value in head.loss(head(again, without), without).items():
            torch.testing.assert_close(value, terms[name])

    @in_2d_and_3d
    def test_one_voxel(self, dim: int) -> None:
        event = line_event(dim).select(np.array([0]))
        batch = self.batch([event])
        head = self.head(dim)
        output = head(self.features(batch), batch)
        assert all(torch.isfinite(value) for value in head.loss(output, batch).values())
        assert all(torch.isfinite(value) for value in head.monitor(output, batch).values())

    @in_2d_and_3d
    def test_monitored_quantities_are_scalars(self, dim: int) -> None:
        head = self.head(dim)
        for events in (crowd(dim), [empty_event(dim)]):
            batch = self.batch(events)
            for name, value in head.monitor(head(self.features(batch), batch), batch).items():
                assert value.shape == (), name
                assert torch.isfinite(value), name

    # Averages over copies and networks

    @in_2d_and_3d
    def test_an_average_of_one_is_itself_and_of_more_an_output_or_refused(self, dim: int) -> None:
        batch, head = self.batch(crowd(dim)), self.head(dim)
        output = head(self.features(batch), batch)
        assert head.average([output]) is output
        assert (self.config.averages == "nothing") == (type(head).average is Head.average)
        if self.config.averages == "nothing":
            with pytest.raises(UserError, match=r"head mine .* predict\.average_heads"):
                self.config.require_average("mine", 1)
            with pytest.raises(NotImplementedError):
                head.average([output, output])
            return
        self.config.require_average("mine", 1)
        if self.config.averages == "copies":
            with pytest.raises(UserError, match=r"head mine .* predict\.average_heads"):
                self.config.require_average("mine", 2)
        else:
            self.config.require_average("mine", 2)
        average = head.average([output, output])
        assert average.keys() == output.keys()
        same, again = self.decode(head, output, batch), self.decode(head, dict(average), batch)
        for name, column in same.columns.items():
            np.testing.assert_allclose(again.columns[name], column, rtol=1e-4, atol=1e-6)

    # Half precision

    @pytest.mark.parametrize("feats", [torch.float32, torch.bfloat16])
    def test_bf16_autocast(self, feats: torch.dtype) -> None:
        batch = self.batch(crowd(3))
        head, features = self.head(3), self.features(batch, feats)
        plain = {name: x.replace(x.feats.detach().float()) for name, x in features.items()}
        expected = head.loss(head(plain, batch), batch)
        with torch.autocast("cpu", torch.bfloat16):
            output = head(features, batch)
            terms = head.loss(output, batch)
        assert all(value.dtype == torch.float32 for value in output.values())
        for name, value in terms.items():
            torch.testing.assert_close(value, expected[name], rtol=0.05, atol=0.01)
        torch.autograd.backward(sum(terms.values(), torch.zeros(())))
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())
        self.decode(head, output, batch)

    # Decoding

    @staticmethod
    def decode(head: Head, output: dict[str, Tensor], batch: Batch) -> Decoded:
        with torch.no_grad():
            return head.decode({name: value.detach() for name, value in output.items()}, batch, None)

    @in_2d_and_3d
    def test_decoding_is_aligned_with_the_batch(self, dim: int) -> None:
        """Every event of a batch is told what it is told alone."""
        batch = self.batch(crowd(dim))
        head = self.head(dim)
        output = head(self.features(batch), batch)
        decoded = self.decode(head, output, batch)
        assert decoded.columns or decoded.tables
        assert all(len(values) == batch.num_voxels for values in decoded.columns.values())
        assert len(decoded.tables) in (0, len(batch))
        if decoded.semantic is not None:
            assert decoded.semantic.labels.shape == (batch.num_voxels,)
        for number, (start, stop) in enumerate(itertools.pairwise(batch.offsets.tolist())):
            one = collate([batch.events[number]])
            alone = self.decode(head, part_of(output, slice(start, stop)), one)
            assert set(alone.columns) == set(decoded.columns)
            for name, values in alone.columns.items():
                np.testing.assert_array_equal(values, decoded.columns[name][start:stop])
            if decoded.tables:
                for name, values in alone.tables[0].items():
                    np.testing.assert_array_equal(values, decoded.tables[number][name])

    @in_2d_and_3d
    def test_decoding_of_empty_events(self, dim: int) -> None:
        batch = self.batch([empty_event(dim, 0), empty_event(dim, 1)])
        head = self.head(dim)
        decoded = self.decode(head, head(self.features(batch), batch), batch)
        assert all(len(values) == 0 for values in decoded.columns.values())
        assert all(len(values) == 0 for table in decoded.tables for values in table.values())
        self.evaluate(to_predictions(batch, {"mine": decoded}))

    # Metrics

    @in_2d_and_3d
    def test_metrics_of_a_perfect_prediction(self, dim: int) -> None:
        batch = self.batch([line_event(dim, 0, 0), empty_event(dim, 1), line_event(dim, 1, 2)])
        self.check_perfect(self.scores(batch, self.perfect(batch)))

    @in_2d_and_3d
    def test_metrics_of_a_bad_prediction(self, dim: int) -> None:
        batch = self.batch([line_event(dim, 0, 0), line_event(dim, 1, 1)])
        self.check_bad(self.scores(batch, self.bad(batch)))

    def test_metrics_of_nothing(self) -> None:
        self.evaluate([])

    def test_metrics_of_data_without_truth(self) -> None:
        batch = self.batch([line_event(3)])
        decoded = self.head(3).decode(self.perfect(batch), batch, None)
        (prediction,) = to_predictions(batch, {"mine": decoded})
        without = Prediction(prediction.key, prediction.coords, prediction.energy, columns=prediction.columns)
        assert self.evaluate([without]) == self.evaluate([])
