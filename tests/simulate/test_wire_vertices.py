"""Vertices in the image of a wire plane lie where the charge of the same place lies."""

from __future__ import annotations

import numpy as np
import pytest
from wire_events import QUIET, source_of, voxel_event

from lartpc_sparse.data.vertices import interaction_vertices

WHERE = [[20, 30, 10], [40, 12, 55]]


@pytest.mark.parametrize("variation", [QUIET, {**QUIET, "distortion_mm": [20.0, 10.0, 10.0]}])
@pytest.mark.parametrize("number", [0, 1])
def test_the_vertex_is_where_the_charge_of_its_voxel_is(number: int, variation: dict[str, object]) -> None:
    event = voxel_event(WHERE[number], 20.0)
    particles = {
        "interaction": np.array([-1, 0], dtype=np.int32),
        **{
            f"vertex_{axis}": np.array([-1, WHERE[number][place] + 0.5], dtype=np.float32)
            for place, axis in enumerate("xyz")
        },
    }
    images = source_of(event.replace(particles=particles), variation=variation).make(3, 0)
    assert set(images) == {"u", "v", "y"}
    for image in images.values():
        (vertex,) = interaction_vertices(image)
        charge = np.average(image.coords + 0.5, axis=0, weights=image.energy)
        np.testing.assert_allclose(vertex, charge, atol=0.25)
        assert np.isnan(image.particles["plane_vertex_x"][0])
        assert image.particles["vertex_x"][1] == WHERE[number][0] + 0.5


def test_the_place_is_that_of_the_event_when_it_is_drawn() -> None:
    event = voxel_event(WHERE[0], 20.0)
    particles = {f"interaction_{axis}": np.array([WHERE[0][place] + 0.5]) for place, axis in enumerate("xyz")}
    source = source_of(event.replace(particles=particles), placement={"where": "random"}, variation=QUIET)
    for seed in range(3):
        for image in source.make(seed, 0).values():
            charge = np.average(image.coords + 0.5, axis=0, weights=image.energy)
            np.testing.assert_allclose(interaction_vertices(image)[0], charge, atol=0.25)


def test_without_positions_nothing_is_added() -> None:
    image = source_of(voxel_event(WHERE[0], 20.0)).make(3, 0)["y"]
    assert set(image.particles) == {"pdg"}
    assert interaction_vertices(image).shape == (0, 2)
