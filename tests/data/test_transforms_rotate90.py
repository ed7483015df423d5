"""rotate90: the proper rotations of the square and of the cube, each as often as the others."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from made_events import make_event
from pydantic import ValidationError

from lartpc_sparse.data.transforms import Rotate90, Rotate90Config
from lartpc_sparse.schema import UserError


def rotations(image_size: tuple[int, ...], axes: tuple[int, ...] | None, tries: int) -> Counter[tuple[int, ...]]:
    """How often each linear map comes, from what becomes of the corner and of the steps away from it."""
    dim = len(image_size)
    event = make_event(np.concatenate([np.zeros((1, dim)), np.eye(dim)]), image_size=image_size)
    seen: Counter[tuple[int, ...]] = Counter()
    for seed in range(tries):
        coords = Rotate90(axes)(event, np.random.default_rng(seed)).coords
        turned = (coords[1:] - coords[0]).T
        assert round(np.linalg.det(turned)) == 1, "a mirror image"
        assert set(coords[0].tolist()) <= {0, *(size - 1 for size in image_size)}
        seen[tuple(turned.ravel().tolist())] += 1
    return seen


@pytest.mark.parametrize(
    ("image_size", "axes", "number"),
    [
        ((7, 7), None, 4),
        ((7, 7, 7), None, 24),
        ((7, 9, 7), (0, 2), 4),
        ((7, 7, 9), (1, 0), 4),
        ((6, 6, 6), (2, 1), 4),
    ],
)
def test_every_rotation_comes_equally_often(
    image_size: tuple[int, ...], axes: tuple[int, ...] | None, number: int
) -> None:
    tries = 60 * number
    seen = rotations(image_size, axes, tries)
    assert len(seen) == number
    chi2 = sum((count - 60) ** 2 / 60 for count in seen.values())
    assert chi2 < number - 1 + 5 * np.sqrt(2 * (number - 1))


def test_equal_to_numpy_on_the_dense_image() -> None:
    image = np.random.default_rng(0).uniform(1, 2, (5, 5)).astype(np.float32)
    where = np.argwhere(image > 0)
    event = make_event(where, image[tuple(where.T)], image_size=(5, 5))
    found = set()
    for seed in range(30):
        after = Rotate90()(event, np.random.default_rng(seed))
        dense = np.zeros_like(image)
        dense[tuple(after.coords.T)] = after.energy
        turns = [k for k in range(4) if np.array_equal(dense, np.rot90(image, k))]
        assert len(turns) == 1
        found.add(turns[0])
    assert found == {0, 1, 2, 3}


def test_what_cannot_be_turned_is_refused() -> None:
    event = make_event([[1, 2, 3]], image_size=(8, 20, 8))
    with pytest.raises(UserError, match=r"rotate90 exchanges axes \[0, 1, 2\].*\[8, 20, 8\].*rotate90\.axes"):
        Rotate90()(event, np.random.default_rng(0))
    with pytest.raises(UserError, match=r"axes 0\.\.1"):
        Rotate90((0, 2))(make_event([[1, 1]], image_size=(8, 8)), np.random.default_rng(0))
    with pytest.raises(ValidationError, match="two axes"):
        Rotate90Config(axes=(1,))
    with pytest.raises(ValidationError, match="twice"):
        Rotate90Config(axes=(1, 1))
    assert Rotate90Config.model_validate({"axes": [0, 2]}).build() == Rotate90((0, 2))
