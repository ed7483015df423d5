"""Labels in the classes of a head, matched by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lartpc_sparse.data.classes import FIVE, PILARNET, SIX
from lartpc_sparse.heads.class_groups import TRACK_SHOWER_GROUPS, class_lookup, regroup, regroup_tensor
from lartpc_sparse.schema import UserError

SCHEMES = {"five": FIVE, "six": SIX, "pilarnet": PILARNET}
GROUP = {"HIP": "track", "MIP": "track", "track": "track", "shower": "shower", "Michel": "Michel", "delta": "delta"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_the_four_classes_of_the_clustering_literature(scheme: str) -> None:
    classes = SCHEMES[scheme]
    names = list(TRACK_SHOWER_GROUPS)
    labels = np.arange(-1, len(classes))
    found = regroup(labels, classes, TRACK_SHOWER_GROUPS)
    wanted = [-1, *(names.index(GROUP[name]) if name in GROUP else -1 for name in classes)]
    assert found.tolist() == wanted
    assert regroup_tensor(torch.from_numpy(labels), classes, TRACK_SHOWER_GROUPS).tolist() == wanted
    assert found.dtype == np.int64


def test_lookup_ends_with_the_entry_of_unlabelled_voxels() -> None:
    assert class_lookup(("a", "b", "c"), {"x": ("c",), "y": ("a",)}).tolist() == [1, -1, 0, -1]


def test_no_voxel_is_no_label() -> None:
    assert len(regroup(np.zeros(0, dtype=np.int64), FIVE, {"HIP": ("HIP",)})) == 0


def test_a_class_that_the_data_lacks_is_refused() -> None:
    with pytest.raises(UserError, match=r"no class for 'HIP'.*its classes are shower, track.*scheme"):
        class_lookup(PILARNET, {name: (name,) for name in FIVE})
    with pytest.raises(UserError, match="its classes are none"):
        class_lookup((), {"HIP": ("HIP",)})


def test_a_class_of_the_data_in_two_groups_is_refused() -> None:
    with pytest.raises(UserError, match="class 'MIP' is asked for twice: for 'track' and for 'muon'"):
        class_lookup(FIVE, {"track": ("HIP", "MIP"), "muon": ("MIP",)})
