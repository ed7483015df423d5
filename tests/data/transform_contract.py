"""What every transform must do. A transform opts in with a subclass that has `config` and says what it keeps."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from pydantic import TypeAdapter

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import Transform, TransformConfig
from lartpc_sparse.schema import OneOf

inherited = settings(max_examples=15, suppress_health_check=[HealthCheck.differing_executors])
"""A property that every subclass runs on its own."""


def assert_equal_events(one: Event, other: Event) -> None:
    """Every field equal, types included."""
    for name in ("key", "image_size", "classes", "frame"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("coords", "energy", "feats", "inverse_index"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True, err_msg=name)
    for name in ("labels", "particles"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.keys() == theirs.keys()
        for column in mine:
            np.testing.assert_array_equal(mine[column], theirs[column], strict=True, err_msg=column)


def rich_event(event: Event, *, cubic: bool) -> Event:
    """More labels of several types, among them `file_row`; some rows of the file dropped before; the raw event too."""
    n = len(event)
    side = (max(event.image_size),) * event.dim if cubic else event.image_size
    event = event.replace(image_size=side).with_labels(
        file_row=np.arange(n, dtype=np.int64),
        pid=(np.arange(n) % 5 - 1).astype(np.int8),
        score=np.linspace(0, 1, n, dtype=np.float32),
        flag=np.arange(n) % 2 == 0,
    )
    return event.select(np.arange(n) % 4 != 3)


def frozen(event: Event) -> Event:
    """The event with arrays that cannot be written to, so that a transform that changes its input fails."""
    for array in (event.coords, event.energy, event.feats, event.inverse_index):
        array.flags.writeable = False
    for column in (*event.labels.values(), *event.particles.values()):
        column.flags.writeable = False
    return event


class TransformContract(ABC):
    """Tests of the seam.

    Attributes:
        cubic: the transform needs an image with equally many voxels along all axes.
        keeps_rows: no voxel is lost, joined or added, and the order stays.
        keeps_energy: the sum of the energies stays.
        changes_energy: energies of voxels change.
        joins: voxels that meet are joined.
        adds: voxels are added that the file does not have.
        rigid: voxels move as `Event.frame` says.
        keeps_image: `image_size` stays.
    """

    cubic = False
    keeps_rows = False
    keeps_energy = False
    changes_energy = False
    joins = False
    adds = False
    rigid = True
    keeps_image = True

    @abstractmethod
    def config(self, dim: int) -> TransformConfig:
        """A configuration for images with `dim` axes that does something to most events."""

    def build(self, dim: int) -> Transform:
        return self.config(dim).build()

    @pytest.mark.parametrize("dim", [2, 3])
    def test_config_survives_a_round_trip_through_the_union(self, dim: int) -> None:
        config = self.config(dim)
        union = TypeAdapter(Annotated[TransformConfig, OneOf(type(config))])
        assert union.validate_python(config.model_dump(mode="json")) == config
        assert all(field.description for name, field in type(config).model_fields.items() if name != "kind")

    @inherited
    @given(recipes(), st.integers(0, 999))
    def test_the_same_generator_gives_the_same_event(self, recipe: Recipe, seed: int) -> None:
        event = rich_event(recipe.event(), cubic=self.cubic)
        transform = self.build(event.dim)
        before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
        one = transform(event, np.random.default_rng(seed))
        again = pickle.loads(pickle.dumps(transform))(event, np.random.default_rng(seed))
        assert_equal_events(one, again)
        assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002

    @inherited
    @given(recipes(), st.integers(0, 999))
    def test_the_given_event_is_not_changed(self, recipe: Recipe, seed: int) -> None:
        event = rich_event(recipe.event(), cubic=self.cubic)
        copy = pickle.loads(pickle.dumps(event))
        self.build(event.dim)(frozen(event), np.random.default_rng(seed))
        assert_equal_events(event, copy)

    @inherited
    @given(recipes(), st.integers(0, 999))
    def test_types_and_what_belongs_to_the_file_stay(self, recipe: Recipe, seed: int) -> None:
        event = rich_event(recipe.event(), cubic=self.cubic)
        after = self.build(event.dim)(event, np.random.default_rng(seed))
        self.check_form(event, after)

    def check_form(self, event: Event, after: Event) -> None:
        assert (after.key, after.classes) == (event.key, event.classes)
        assert after.particles is event.particles
        assert len(after.inverse_index) == len(event.inverse_index)
        for name in ("coords", "energy", "feats", "inverse_index"):
            assert getattr(after, name).dtype == getattr(event, name).dtype, name
        assert after.feats.shape == (len(after), event.feats.shape[1])
        for name, column in event.labels.items():
            assert after.labels[name].dtype == column.dtype
        assert ((after.coords >= 0) & (after.coords < np.array(after.image_size))).all()
        assert after.image_size == event.image_size or not self.keeps_image
        if self.keeps_rows:
            np.testing.assert_array_equal(after.inverse_index, event.inverse_index)
        if self.keeps_energy:
            assert after.energy.sum(dtype=np.float64) == pytest.approx(event.energy.sum(dtype=np.float64), rel=1e-6)

    @inherited
    @given(st.booleans().flatmap(lambda duplicates: recipes(duplicates=duplicates)), st.integers(0, 999))
    def test_every_row_of_the_file_leads_to_its_voxel(self, recipe: Recipe, seed: int) -> None:
        raw = recipe.event()
        if not self.joins and len({tuple(c) for c in recipe.coords}) < len(recipe.coords):
            return
        event = rich_event(raw, cubic=self.cubic)
        after = self.build(event.dim)(event, np.random.default_rng(seed))
        row_here = {int(row): here for here, row in enumerate(event.labels["file_row"])}
        sources: dict[int, list[int]] = {}
        for row, here in enumerate(after.inverse_index.tolist()):
            if here >= 0:
                assert row in row_here, "a row that was dropped before is back"
                sources.setdefault(here, []).append(row)
        added = after.labels["candidate"] if self.adds else np.zeros(len(after), np.bool_)
        assert sorted(sources) == np.flatnonzero(~added).tolist()
        for here, rows in sources.items():
            leading = int(after.labels["file_row"][here])
            assert leading in rows
            assert len(rows) == 1 or self.joins
            before = row_here[leading]
            for name, column in event.labels.items():
                assert after.labels[name][here] == column[before], name
            if not self.changes_energy:
                total = np.float32(sum(float(event.energy[row_here[row]]) for row in rows))
                assert after.energy[here] == pytest.approx(total, rel=1e-6)
            if self.rigid:
                for row in rows:
                    moved = after.frame.voxels(raw.coords[row : row + 1])[0]
                    assert moved.tolist() == after.coords[here].tolist()
        if self.joins:
            assert len(np.unique(after.coords, axis=0)) == len(after)

    @pytest.mark.parametrize("image_size", [(8, 8), (8, 8, 8), (1, 1), (1, 1, 1)])
    @pytest.mark.parametrize("count", [0, 1])
    def test_events_of_no_and_of_one_voxel(self, count: int, image_size: tuple[int, ...]) -> None:
        event = make_event(np.zeros((count, len(image_size))), image_size=image_size)
        for seed in range(8):
            after = self.build(event.dim)(event, np.random.default_rng(seed))
            self.check_form(event, after)
            assert len(after) <= count or self.adds

    @pytest.mark.parametrize("image_size", [(32, 32), (16, 16, 16)])
    def test_it_does_something_and_not_always_the_same(self, image_size: tuple[int, ...]) -> None:
        event = random_event(1, 300, image_size)
        transform = self.build(event.dim)
        results = [transform(event, np.random.default_rng(seed)) for seed in range(6)]
        changed = [
            len(after) != len(event)
            or not np.array_equal(after.coords, event.coords)
            or not np.array_equal(after.feats, event.feats)
            for after in results
        ]
        assert any(changed)
