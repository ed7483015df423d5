"""The rules of the labels, each on an event small enough to see through."""

from __future__ import annotations

import numpy as np
import pytest
from made_truth import DEUTERON, ELECTRON, MUON, NEUTRON, PHOTON, PI0, PION, PROTON, Truth, at, line

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.simulate.labelling import LabelRules, Process


def test_an_event_without_deposits_is_empty_and_keeps_its_primaries() -> None:
    truth = Truth()
    truth.track(NEUTRON, interaction=0)
    event = truth.event()
    assert len(event) == 0
    assert event.classes == SIX
    assert event.particles["n_points"].tolist() == [0]
    assert event.particles["is_primary"].tolist() == [1]
    assert event.particles["fragment"].tolist() == [-1]


def test_no_track_at_all() -> None:
    event = Truth().event()
    assert len(event) == 0
    assert all(len(column) == 0 for column in event.particles.values())


@pytest.mark.parametrize(
    ("pdg", "name", "pid"), [(PROTON, "HIP", 4), (MUON, "MIP", 2), (PION, "MIP", 3), (DEUTERON, "HIP", 4)]
)
def test_a_track_has_three_voxels(pdg: int, name: str, pid: int) -> None:
    for count, expected in ((2, "low_energy"), (3, name)):
        truth = Truth()
        truth.track(pdg, line((5, 5, 5), (1, 0, 0), count))
        event = truth.event()
        assert at(event, (5, 5, 5), "semantic") == expected
        assert at(event, (5, 5, 5), "pid") == (pid if expected == name else -1)


def test_a_kaon_track_has_no_class_but_is_a_cluster() -> None:
    truth = Truth()
    truth.track(321, line((5, 5, 5), (1, 0, 0), 5))
    event = truth.event()
    assert set(event.labels["semantic"].tolist()) == {-1}
    assert set(event.labels["fragment"].tolist()) == {0}


def test_voxels_below_the_threshold_are_dropped_before_anything_is_counted() -> None:
    truth = Truth()
    truth.track(PROTON, line((5, 5, 5), (1, 0, 0), 2))
    truth.track(PROTON, [(7, 5, 5)], parent=-1, mev=0.04)
    event = truth.event()
    assert event.coords.tolist() == [[5, 5, 5], [6, 5, 5]]
    assert set(event.labels["semantic"].tolist()) == {SIX.index("low_energy")}
    assert len(truth.event(LabelRules(min_mev=0.03))) == 3


def test_energy_and_path_length_of_all_deposits_of_a_voxel_add_up() -> None:
    truth = Truth()
    truth.track(MUON, [(5, 5, 5), (5, 5, 5), (6, 5, 5), (7, 5, 5)])
    truth.track(PROTON, [(5, 5, 5)], mev=4.0)
    event = truth.event()
    row = int(np.flatnonzero((event.coords == (5, 5, 5)).all(axis=1))[0])
    assert event.energy[row] == 6.0
    assert event.labels["dx"][row] == 6.0


def test_the_time_of_a_voxel_is_that_of_its_first_deposit() -> None:
    truth = Truth()
    truth.track(MUON, [(5, 5, 5), (6, 5, 5), (7, 5, 5)])
    truth.track(PROTON, [(7, 5, 5), (8, 5, 5), (9, 5, 5)], mev=4.0)  # 10 ns later
    event = truth.event()
    times = dict(zip(event.coords[:, 0].tolist(), event.labels["time"].tolist(), strict=True))
    assert times == {5: 0.0, 6: 0.0, 7: 0.0, 8: 10.0, 9: 10.0}


def test_shower_fragments_have_ten_connected_voxels_and_share_a_group() -> None:
    truth = Truth()
    photon = truth.track(PHOTON, start=(5, 5, 5))
    pair = truth.track(ELECTRON, line((5, 5, 5), (1, 1, 0), 12), parent=photon, process=Process.OTHER)
    far = truth.track(PHOTON, parent=pair, process=Process.OTHER)
    truth.track(ELECTRON, line((30, 30, 30), (0, 0, 1), 10), parent=far, process=Process.OTHER)
    truth.track(ELECTRON, line((50, 50, 50), (0, 0, 1), 9), parent=far, process=Process.OTHER)
    event = truth.event()
    assert at(event, (5, 5, 5), "semantic") == at(event, (30, 30, 30), "semantic") == "shower"
    assert at(event, (50, 50, 50), "semantic") == "low_energy"
    assert at(event, (5, 5, 5), "fragment") == 0  # the larger piece first
    assert at(event, (30, 30, 30), "fragment") == 1
    assert at(event, (30, 30, 30), "group") == 0
    assert at(event, (30, 30, 30), "pid") == 0  # of the photon that began it


def test_low_energy_has_no_instance() -> None:
    truth = Truth()
    truth.track(PROTON, [(5, 5, 5)])
    event = truth.event()
    for name in ("fragment", "instance", "group", "interaction", "pid"):
        assert event.labels[name].tolist() == [-1]


def test_photons_of_a_pi0_are_particles_of_their_own() -> None:
    truth = Truth()
    pi0 = truth.track(PI0)
    for z in (5, 20):
        photon = truth.track(PHOTON, parent=pi0, process=Process.DECAY)
        truth.track(ELECTRON, line((5, 5, z), (1, 0, 0), 12), parent=photon, process=Process.OTHER)
    event = truth.event()
    assert at(event, (5, 5, 5), "group") != at(event, (5, 5, 20), "group")


def test_secondary_hadrons_are_particles_of_the_same_interaction() -> None:
    truth = Truth()
    other = truth.track(MUON, line((40, 5, 5), (0, 1, 0), 9), interaction=0)
    pion = truth.track(PION, line((5, 5, 5), (1, 0, 0), 10), interaction=1)
    truth.track(PROTON, line((14, 5, 5), (0, 1, 0), 5)[1:], parent=pion, process=Process.OTHER, start=(14, 5, 5))
    event = truth.event()
    assert other == 0
    assert at(event, (14, 9, 5), "group") != at(event, (5, 5, 5), "group")
    assert at(event, (14, 9, 5), "interaction") == at(event, (5, 5, 5), "interaction") == 1
    assert at(event, (40, 5, 5), "interaction") == 0


def delta_event(outside: np.ndarray) -> Truth:
    truth = Truth()
    muon = truth.track(MUON, line((5, 5, 5), (1, 0, 0), 20))
    truth.track(ELECTRON, [(10, 5, 5), *outside.tolist()], parent=muon, process=Process.IONISATION)
    return truth


def test_a_delta_ray_needs_three_voxels_outside_and_one_that_does_not_touch() -> None:
    event = delta_event(line((10, 6, 5), (0, 1, 0), 3)).event()
    assert at(event, (10, 6, 5), "semantic") == at(event, (10, 8, 5), "semantic") == "delta"
    assert at(event, (10, 5, 5), "semantic") == "MIP"  # the track has precedence
    assert at(event, (10, 8, 5), "pid") == 1
    assert at(event, (10, 8, 5), "group") != at(event, (5, 5, 5), "group")


@pytest.mark.parametrize("outside", [line((10, 6, 5), (0, 1, 0), 2), line((10, 6, 5), (1, 0, 0), 4)])
def test_a_smaller_delta_ray_belongs_to_its_parent(outside: np.ndarray) -> None:
    event = delta_event(outside).event()
    assert set(event.labels["semantic"].tolist()) == {SIX.index("MIP")}
    assert set(event.labels["fragment"].tolist()) == {0}


def test_a_merged_delta_ray_counts_for_the_size_of_its_parent() -> None:
    truth = Truth()
    muon = truth.track(MUON, line((5, 5, 5), (1, 0, 0), 2))
    truth.track(ELECTRON, [(5, 6, 5)], parent=muon, process=Process.IONISATION)
    assert set(truth.event().labels["semantic"].tolist()) == {SIX.index("MIP")}


def test_far_pieces_of_a_delta_ray_are_showers_or_low_energy_not_track() -> None:
    truth = delta_event(line((10, 6, 5), (0, 1, 0), 1))
    photon = truth.track(PHOTON, parent=1, process=Process.OTHER)
    truth.track(ELECTRON, [(40, 40, 40), (40, 40, 41)], parent=photon, process=Process.OTHER)
    truth.track(ELECTRON, line((50, 20, 20), (0, 1, 0), 10), parent=photon, process=Process.OTHER)
    event = truth.event()
    assert at(event, (10, 6, 5), "semantic") == "MIP"
    assert at(event, (40, 40, 40), "semantic") == "low_energy"
    assert at(event, (50, 20, 20), "semantic") == "shower"


def michel_event(process: Process, energy: float) -> Truth:
    truth = Truth()
    muon = truth.track(MUON, line((5, 5, 5), (1, 0, 0), 10))
    electron = truth.track(
        ELECTRON, line((14, 5, 5), (0, 1, 0), 12), parent=muon, process=process, energy=energy, start=(14, 5, 5)
    )
    photon = truth.track(PHOTON, parent=electron, process=Process.OTHER)
    truth.track(ELECTRON, line((14, 40, 5), (0, 0, 1), 11), parent=photon, process=Process.OTHER)
    return truth


@pytest.mark.parametrize("process", [Process.DECAY, Process.MUON_CAPTURE])
def test_a_michel_electron_and_its_photon_share_a_group(process: Process) -> None:
    event = michel_event(process, 40.0).event()
    assert at(event, (14, 5, 5), "semantic") == "MIP"
    assert at(event, (14, 10, 5), "semantic") == "Michel"
    assert at(event, (14, 40, 5), "semantic") == "shower"
    assert at(event, (14, 40, 5), "group") == at(event, (14, 10, 5), "group") == at(event, (14, 10, 5), "fragment")


def test_an_electron_of_the_muonic_atom_is_no_michel() -> None:
    assert at(michel_event(Process.MUON_CAPTURE, 0.5).event(), (14, 10, 5), "semantic") == "shower"


def test_an_electron_of_a_pion_decay_is_no_michel() -> None:
    truth = Truth()
    pion = truth.track(PION, line((5, 5, 5), (1, 0, 0), 10))
    truth.track(ELECTRON, line((14, 6, 5), (0, 1, 0), 12), parent=pion, process=Process.DECAY)
    assert at(truth.event(), (14, 10, 5), "semantic") == "shower"


def test_precedence_in_a_shared_voxel() -> None:
    place = (20, 20, 20)
    truth = michel_event(Process.DECAY, 40.0)
    other = truth.track(MUON, line((14, 1, 5), (0, 1, 0), 40), mev=0.1)  # along the Michel electron, hardly seen
    truth.track(ELECTRON, line(place, (1, 0, 0), 12), mev=0.2)
    truth.track(ELECTRON, [*line((14, 35, 5), (1, 0, 0), 7), *line(place, (1, 0, 0), 5)], parent=other,
                process=Process.IONISATION, mev=5.0)  # fmt: skip
    event = truth.event()
    assert at(event, (14, 10, 5), "semantic") == "MIP"  # track before Michel
    assert at(event, place, "semantic") == "shower"  # shower before delta
    assert at(event, (20, 35, 5), "semantic") == "delta"


def test_two_tracks_share_a_voxel_by_energy() -> None:
    truth = Truth()
    truth.track(PROTON, line((5, 5, 5), (1, 0, 0), 5), mev=3.0)
    truth.track(MUON, line((5, 5, 5), (0, 1, 0), 5), mev=1.0)
    assert at(truth.event(), (5, 5, 5), "semantic") == "HIP"


def test_a_track_that_loses_its_voxels_gives_the_rest_up() -> None:
    truth = Truth()
    truth.track(PROTON, line((5, 5, 5), (1, 0, 0), 9), mev=3.0)
    truth.track(MUON, [(5, 5, 5), (6, 5, 5), (5, 6, 5)], mev=1.0)  # three voxels, one of its own
    assert at(truth.event(), (5, 6, 5), "semantic") == "low_energy"


def test_the_table_has_a_row_a_cluster_in_the_order_of_the_voxels() -> None:
    truth = michel_event(Process.DECAY, 40.0)
    truth.track(PROTON, [(60, 60, 60)], interaction=1)
    event = truth.event()
    table = event.particles
    assert table["n_points"].sum() == len(event)
    for name in ("semantic", "fragment", "group", "interaction", "pid"):
        np.testing.assert_array_equal(np.repeat(table[name], table["n_points"]), event.labels[name])
    assert table["is_primary"].tolist() == [-1, 1, 0, 0, 1]
    assert table["parent_pdg"].tolist() == [-1, -1, MUON, MUON, -1]
    np.testing.assert_allclose(table["momentum_gev"][1], np.sqrt(100 * 300) / 1000)
    np.testing.assert_allclose(table["pz_gev"][1], table["momentum_gev"][1])
    np.testing.assert_allclose([table[f"vertex_{axis}"][2] for axis in "xyz"], [14.5, 5.5, 5.5])


def test_deposits_outside_the_image_are_refused() -> None:
    truth = Truth()
    truth.track(MUON, [(64, 0, 0)])
    with pytest.raises(ValueError, match="outside the image of size"):
        truth.event()


def test_a_parent_after_its_child_is_refused() -> None:
    truth = Truth()
    truth.track(MUON, parent=1)
    truth.track(MUON)
    with pytest.raises(ValueError, match="a parent must stand before its children"):
        truth.tracks()
