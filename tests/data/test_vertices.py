"""Vertices of an event from its particle table."""

from __future__ import annotations

import numpy as np
import pytest

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.vertices import interaction_vertices


def event(dim: int = 3, **particles: list[float]) -> Event:
    columns = {
        name: np.array(values, dtype=np.int32 if name in ("interaction", "is_primary") else np.float32)
        for name, values in particles.items()
    }
    return Event(
        EventKey("f", 0),
        np.zeros((1, dim), dtype=np.int32),
        np.ones(1, dtype=np.float32),
        (9,) * dim,
        particles=columns,
    )


def test_the_vertex_of_the_interaction_comes_first() -> None:
    found = interaction_vertices(
        event(
            interaction=[-1, 0, 0, 1],
            interaction_x=[5, 1, 1, np.nan],
            interaction_y=[5, 2, 2, np.nan],
            interaction_z=[5, 3, 3, np.nan],
            vertex_x=[9, 9, 9, 9],
            vertex_y=[9, 9, 9, 9],
            vertex_z=[9, 9, 9, 9],
        )
    )
    assert found.tolist() == [[1, 2, 3]]


def test_primaries_start_at_their_vertex() -> None:
    position = {f"vertex_{axis}": [-1, 4, 4, 6, 7] for axis in "xyz"}
    primary = interaction_vertices(event(is_primary=[-1, 1, 1, 0, 1], **position))
    assert primary.tolist() == [[4, 4, 4], [7, 7, 7]]
    first = interaction_vertices(event(interaction=[-1, 0, 0, 0, 2], **position))
    assert first.tolist() == [[4, 4, 4], [7, 7, 7]]


@pytest.mark.parametrize(
    "particles",
    [{}, {"vtx_x": [1.0], "vtx_y": [1.0], "vtx_z": [1.0]}, {"vertex_x": [1.0]}],
)
def test_a_table_that_does_not_tell(particles: dict[str, list[float]]) -> None:
    assert interaction_vertices(event(**particles)).shape == (0, 3)


def test_planes_have_columns_of_their_own() -> None:
    position = {"vertex_x": [1.0], "vertex_y": [2.0], "vertex_z": [3.0], "is_primary": [1]}
    assert interaction_vertices(event(2, **position)).shape == (0, 2)
    plane = interaction_vertices(event(2, **position, plane_vertex_x=[8.5], plane_vertex_y=[7.5]))
    assert plane.tolist() == [[8.5, 7.5]]
    flat = interaction_vertices(event(2, vertex_x=[1.0], vertex_y=[2.0], interaction=[0]))
    assert flat.tolist() == [[1, 2]]


def test_the_sample_has_charge_at_its_vertices() -> None:
    reader = SampleConfig(split="test").build()
    near = []
    for index in range(10):
        one = reader.read(index)
        found = interaction_vertices(one)
        assert 1 <= len(found) <= len(np.unique(one.particles["interaction"]))
        near += [np.linalg.norm(one.coords + 0.5 - vertex, axis=1).min() for vertex in found]
    assert np.median(near) < 1
