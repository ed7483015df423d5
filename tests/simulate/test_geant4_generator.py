"""What is shot: counts, species, energies, places and directions of the drawn particles."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.geant4 import Geant4Config
from lartpc_sparse.simulate.geant4.generator import MASS_MEV, Primary, draw_primaries
from lartpc_sparse.simulate.geant4.generator_config import (
    BoxDirectionsConfig,
    BunchConfig,
    CosmicDirectionsConfig,
    SpeciesConfig,
    pilarnet_bunches,
)

SIZE = (1000.0, 2000.0, 3000.0)
MUON = SpeciesConfig(particles=("mu-", "mu+"), kinetic_energy_mev=(100, 200))
PROTON = SpeciesConfig(particles=("proton",), momentum_mev=(300, 450), at_most=2)


def draw(bunch: BunchConfig, times: int = 200) -> list[tuple[Primary, ...]]:
    return [draw_primaries((bunch,), SIZE, np.random.default_rng([7, i])) for i in range(times)]


def test_the_same_generator_draws_the_same() -> None:
    first, second = (draw_primaries(pilarnet_bunches(), SIZE, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_the_default_is_like_pilarnet() -> None:
    events = [draw_primaries(pilarnet_bunches(), SIZE, np.random.default_rng([1, i])) for i in range(3000)]
    vertex = [primary for event in events for primary in event if primary.interaction == 0]
    assert {sum(p.interaction == 0 for p in event) for event in events} == {2, 3, 4, 5, 6}
    assert {sum(p.interaction > 0 for p in event) for event in events} == {1, 2, 3}
    assert all(len({p.position_mm for p in event if p.interaction == 0}) == 1 for event in events)
    assert all(
        len({p.position_mm for p in event if p.interaction > 0}) == max(p.interaction for p in event)
        for event in events
    )
    shares = Counter(p.name for p in vertex)
    expected = {"e-": 0.2, "gamma": 0.2, "proton": 0.2, "mu-": 0.1, "mu+": 0.1, "pi-": 0.1, "pi+": 0.1}
    assert set(shares) == set(expected)
    for name, share in expected.items():
        assert abs(shares[name] / len(vertex) - share) < 0.02
    protons = [p.kinetic_energy_mev for p in vertex if p.name == "proton"]
    assert 50 <= min(protons) < 60
    assert 590 < max(protons) <= 600
    assert {p.name for event in events for p in event if p.interaction > 0} == {"mu-", "mu+", "e-", "proton"}


def test_directions_are_isotropic_unit_vectors() -> None:
    bunch = BunchConfig(count=(5, 5), species=(MUON,))
    vectors = np.array([p.direction for event in draw(bunch, 2000) for p in event])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((vectors**2).mean(axis=0), 1 / 3, atol=0.01)


def test_momenta_become_kinetic_energies() -> None:
    bunch = BunchConfig(count=(1, 2), species=(PROTON,))
    energies = np.array([p.kinetic_energy_mev for event in draw(bunch) for p in event])
    momenta = np.sqrt((energies + MASS_MEV["proton"]) ** 2 - MASS_MEV["proton"] ** 2)
    assert 300 <= momenta.min() < 310
    assert 440 < momenta.max() <= 450


def test_at_most_is_kept_and_the_rest_goes_to_the_others() -> None:
    for event in draw(BunchConfig(count=(6, 6), species=(MUON, PROTON))):
        assert len(event) == 6
        assert sum(p.name == "proton" for p in event) <= 2


@given(st.integers(0, 10_000))
def test_cosmics_come_from_above_and_start_on_a_wall(seed: int) -> None:
    bunch = BunchConfig(
        count=(5, 5), species=(MUON,), one_vertex=False, from_outside=True, directions=CosmicDirectionsConfig()
    )
    for number, primary in enumerate(draw_primaries((bunch,), SIZE, np.random.default_rng(seed))):
        position, direction = np.array(primary.position_mm), np.array(primary.direction)
        assert primary.interaction == number
        assert direction[1] < 0
        np.testing.assert_allclose(np.linalg.norm(direction), 1)
        assert ((position >= 0) & (position <= SIZE)).all()
        wall = np.isclose(position, np.where(direction > 0, 0, SIZE), atol=1e-6)
        assert wall.any()  # on the side that it comes from


def test_cosmics_follow_the_square_of_the_cosine() -> None:
    bunch = BunchConfig(count=(5, 5), species=(MUON,), directions=CosmicDirectionsConfig(max_angle_deg=90))
    cosines = -np.array([p.direction[1] for event in draw(bunch, 4000) for p in event])
    np.testing.assert_allclose(cosines.mean(), 3 / 4, atol=0.01)  # of the density 3 c^2


def test_a_region_and_a_box_of_directions() -> None:
    bunch = BunchConfig(
        count=(1, 1), species=(MUON,), region_mm=((10, 20), (30, 30), (0, 3000)),
        directions=BoxDirectionsConfig(ranges=((0, 0), (0, 0), (0.5, 1))),
    )  # fmt: skip
    for (primary,) in draw(bunch):
        assert 10 <= primary.position_mm[0] <= 20
        assert primary.position_mm[1] == 30
        assert primary.direction == (0, 0, 1)


def test_a_region_outside_the_volume_is_refused() -> None:
    bunch = BunchConfig(count=(1, 1), species=(MUON,), region_mm=((0, 1001), (0, 1), (0, 1)))
    with pytest.raises(UserError, match="reaches out of the volume"):
        draw_primaries((bunch,), SIZE, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": (3, 2)}, "count is"),
        (
            {"count": (1, 3), "species": ({"particles": ["proton"], "kinetic_energy_mev": (1, 2), "at_most": 2},)},
            "less",
        ),
        ({"species": ({"particles": ["proton"]},)}, "either kinetic_energy_mev or momentum_mev"),
        ({"species": ({"particles": ["proton"], "kinetic_energy_mev": (2, 1)},)}, "kinetic_energy_mev is"),
        ({"species": ({"particles": ["quark"], "kinetic_energy_mev": (1, 2)},)}, "particles"),
        ({"region_mm": ((5, 1), (0, 1), (0, 1))}, "region_mm of x"),
        ({"directions": {"kind": "box", "ranges": ((0, 0), (0, 0), (0, 0))}}, "no direction"),
    ],
)
def test_a_wrong_bunch_is_refused(values: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"count": (1, 2), "species": ({"particles": ["mu-"], "kinetic_energy_mev": (1, 2)},)}
    with pytest.raises(ValidationError, match=message):
        BunchConfig.model_validate(good | values)


def test_the_box_is_the_image() -> None:
    assert Geant4Config().size_mm == (2304.0, 2304.0, 2304.0)
    with pytest.raises(ValidationError, match="image_size"):
        Geant4Config(image_size=(0, 1, 1))
