"""The feature in units of the noise, and crops around instances."""

from __future__ import annotations

import numpy as np
import pytest
from made_events import random_event

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import CropConfig, SignificanceConfig
from lartpc_sparse.schema import BadEventError, UserError

RNG = np.random.default_rng(0)


def event(noise: float = 2.0) -> Event:
    made = random_event(3, 20, image_size=(9, 8))
    return made.with_labels(noise=np.full(len(made), noise, dtype=np.float32))


def test_the_feature_is_the_energy_over_the_noise() -> None:
    made = event()
    plain = SignificanceConfig(compress="none", scale=0.5).build()(made, RNG)
    np.testing.assert_allclose(plain.feats[:, 0], made.energy, rtol=1e-6)
    compressed = SignificanceConfig().build()(made, RNG)
    np.testing.assert_allclose(compressed.feats[:, 0], np.arcsinh(made.energy / 2), rtol=1e-6)
    np.testing.assert_array_equal(compressed.energy, made.energy)


def test_noise_must_be_there_and_above_zero() -> None:
    with pytest.raises(UserError, match="has no label noise"):
        SignificanceConfig().build()(random_event(3, 5, image_size=(9, 8)), RNG)
    with pytest.raises(BadEventError, match=r"noise is 0\.0 at pixel"):
        SignificanceConfig().build()(event(0.0), RNG)


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_around_an_instance_holds_a_voxel_of_one(seed: int) -> None:
    coords = np.argwhere(np.ones((40, 50))).astype(np.int32)
    instance = np.full(2000, -1, dtype=np.int64)
    instance[[3, 1999, 777]] = [0, 1, 5]
    made = event().replace(
        coords=coords,
        energy=np.ones(2000, np.float32),
        feats=np.ones((2000, 1), np.float32),
        labels={"instance": instance},
        image_size=(40, 50),
        inverse_index=np.arange(2000),
    )
    found = CropConfig(size=9, center="instance", shift_to_origin=True).build()(made, np.random.default_rng(seed))
    assert len(found) == 81
    assert (found.labels["instance"] >= 0).any()
    none = made.with_labels(instance=np.full(2000, -1, dtype=np.int64))
    assert len(CropConfig(size=9, center="instance").build()(none, np.random.default_rng(seed))) == 81
