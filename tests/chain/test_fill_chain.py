"""A chain with a section inpaint: filled events, in the order of the file, go on to the other heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from lartpc_sparse.config import FillConfig
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import SampleConfig, VoxelsConfig
from lartpc_sparse.data.regions import RegionConfig, box_of_voxel
from lartpc_sparse.run import main
from lartpc_sparse.schema import BadEventError
from lartpc_sparse.steps.gap_filler import Filled, Filler, plain_filler

REGIONS = [{"kind": "slabs", "fixed": [{"axis": 1, "first": 300, "width": 10}]}]


def chain(folder: Path, **inpaint: object) -> str:
    path = folder / "chain.yaml"
    values = {
        "run": {"output_dir": str(folder / "run")},
        "data": {"test": {"kind": "sample", "split": "test", "limit": 3}},
        "model": {
            "backbone": {"kind": "uresnet", "filters": 2, "depth": 2, "blocks": 1},
            "heads": {"a": {"kind": "semantic"}},
        },
        "inpaint": {"regions": REGIONS, **inpaint},
    }
    path.write_text(yaml.safe_dump(values))
    return str(path)


@pytest.mark.parametrize("way", ["line", "reflection", "nothing"])
def test_filled_events_differ_in_the_gaps_only(way: str, tmp_path: Path) -> None:
    assert main([chain(tmp_path, fill_with=way)]) == 0
    before = SampleConfig(split="test", limit=3).build()
    after = VoxelsConfig(files=(str(tmp_path / "run" / "filled.h5"),)).build()
    assert len(after) == 3
    boxes = np.array([[[0, 300, 0], [768, 310, 768]]])
    for index in range(3):
        raw, filled = before.read(index), after.read(index)
        kept = box_of_voxel(raw.coords, boxes) < 0
        new = filled.labels["filled"] == 1
        assert raw.coords[kept].tobytes() == filled.coords[~new].tobytes()
        assert raw.energy[kept].tobytes() == filled.energy[~new].tobytes()
        for name, column in raw.labels.items():
            np.testing.assert_array_equal(column[kept], filled.labels[name][~new])
        assert (box_of_voxel(filled.coords[new], boxes) == 0).all()
        assert (filled.labels["semantic"][new] == -1).all()
        assert way != "nothing" or not new.any()


def test_weights_without_an_inpainting_head_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([chain(tmp_path, weights="semantic3d-small")]) == 2
    assert "have no inpainting head" in capsys.readouterr().err


def test_a_network_needs_weights_and_nothing_else_does() -> None:
    with pytest.raises(ValueError, match="weights are needed"):
        FillConfig.model_validate({"regions": REGIONS})
    with pytest.raises(ValueError, match="weights are needed"):
        FillConfig.model_validate({"regions": REGIONS, "fill_with": "line", "weights": "x"})


@pytest.mark.parametrize(("policy", "status"), [("skip", 0), ("fail", 2)])
def test_an_event_that_the_weights_cannot_be_given(
    policy: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(name: str, regions: Sequence[RegionConfig]) -> Filler:
        fill = plain_filler(name, regions)
        worst = SampleConfig(split="test", limit=3).build().key(1)

        def refuse(events: Sequence[Event], rngs: Sequence[np.random.Generator]) -> list[Filled]:
            if any(event.key == worst for event in events):
                raise BadEventError(f"{worst}: not for these weights")
            return fill(events, rngs)

        return refuse

    path = chain(tmp_path, fill_with="line")
    assert main([path, "--set", f"run.output_dir={tmp_path / 'all'}"]) == 0
    monkeypatch.setattr("lartpc_sparse.steps.fill_step.plain_filler", refusing)
    assert main([path, "--set", f"data.on_bad_event={policy}"]) == status
    assert "not for these weights" in capsys.readouterr().err
    if policy == "skip":
        whole, some = (VoxelsConfig(files=(str(tmp_path / name / "filled.h5"),)).build() for name in ("all", "run"))
        assert [len(some.read(index)) for index in range(3)] == [len(whole.read(0)), 0, len(whole.read(2))]
        np.testing.assert_array_equal(some.read(2).coords, whole.read(2).coords)
