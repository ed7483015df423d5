"""Folders of variants, the simulation they share, and the choice among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.variants import SIMULATION, Study, lay_out, select
from lartpc_sparse.yaml_config import ConfigError, Variant, load_variants

HEAD = """
simulate: {kind: wire_planes, events: 4, reader: {kind: sample}}
data:
  train: {kind: voxels, files: ["${simulation}/u_*.h5"]}
  test: {kind: voxels, files: ["${simulation}/u_*.h5"]}
model: {dim: 2, heads: {semantic: {kind: semantic}}}
train: {epochs: 1}
predict:
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, *overrides: str) -> tuple[Variant[ChainConfig], ...]:
    Path("chain.yaml").write_text(text)
    return load_variants("chain.yaml", ChainConfig, overrides, SIMULATION)


def study(text: str, *overrides: str) -> Study:
    return lay_out(loaded(text, *overrides))


def folders(found: Study) -> list[str]:
    return [str(variant.config.run.output_dir) for variant in found.variants]


def files(found: Study) -> list[str]:
    return [variant.config.data.train.files[0] for variant in found.variants]  # type: ignore[union-attr]


def test_variables_in_the_folder_and_a_shared_simulation() -> None:
    text = 'for_each: {plane: [u, y]}\nrun: {name: "p ${plane}", output_dir: "runs/a/${plane}"}\n'
    found = study(text + HEAD.replace("/u_", "/${plane}_"))
    assert found.folder == Path("runs/a")
    assert found.name == "a"
    assert folders(found) == ["runs/a/u", "runs/a/y"]
    assert files(found) == ["runs/a/events/u_*.h5", "runs/a/events/y_*.h5"]
    assert found.simulation is not None
    assert found.simulation.run.output_dir == Path("runs/a")
    assert found.simulation.steps == ("simulate",)
    assert all(variant.config.simulate is None for variant in found.variants)
    assert found.variants[0].config.steps == ("train", "predict")


def test_a_folder_without_variables_gets_one_for_each_variant() -> None:
    text = "for_each: {w: ['a/b', 1e-3], seed: [1]}\nrun: {name: n, output_dir: runs/x, seed: '${seed}'}\n"
    found = study(
        text + HEAD.replace("epochs: 1", "clip_norm: 1, epochs: 1") + "report: {output: 'r${w}.html'}\nevaluate:\n"
    )
    assert folders(found) == ["runs/x/w=a_b,seed=1", "runs/x/w=0.001,seed=1"]
    assert [variant.config.run.name for variant in found.variants] == ["n, w=a/b, seed=1", "n, w=0.001, seed=1"]
    assert (found.name, found.folder) == ("n", Path("runs/x"))


def test_one_value_leads_to_the_same_folders_as_many() -> None:
    text = 'for_each: {plane: [u]}\nrun: {output_dir: "runs/a/${plane}"}\n' + HEAD.replace("/u_", "/${plane}_")
    assert study(text).folder == study(text, "for_each.plane=[u, v]").folder == Path("runs/a")
    assert folders(study(text, "run.output_dir=runs/b")) == ["runs/b/plane=u"]


def test_a_simulation_is_shared_only_when_it_is_the_same() -> None:
    text = "for_each: {seed: [1, 2]}\nrun: {output_dir: runs/a, seed: '${seed}'}\n" + HEAD
    own = study(text)
    assert own.simulation is None
    assert files(own) == ["runs/a/seed=1/events/u_*.h5", "runs/a/seed=2/events/u_*.h5"]
    assert [variant.config.simulation_seed for variant in own.variants] == [1, 2]
    shared = study(text, "simulate.seed=5")
    assert shared.simulation is not None
    assert shared.simulation.simulation_seed == 5
    assert files(shared) == ["runs/a/events/u_*.h5"] * 2
    varied = text.replace("seed: '${seed}'", "seed: 1").replace(
        "{kind: sample}}", "{kind: sample}, variation: '${seed}'}"
    )
    varied = varied.replace("[1, 2]", "[gain_up, gain_down]")
    assert study(varied).simulation is None


def test_simulation_is_a_variable_of_a_plain_chain_too() -> None:
    (only,) = loaded("run: {output_dir: runs/one}\n" + HEAD)
    assert only.config.data.train.files == ("runs/one/events/u_*.h5",)  # type: ignore[union-attr]
    without = HEAD.replace("simulate: {kind: wire_planes, events: 4, reader: {kind: sample}}", "")
    with pytest.raises(ConfigError, match="'simulation' has no value here: the configuration has no section simulate"):
        loaded(without)


@pytest.mark.parametrize(
    ("run", "values", "expected"),
    [
        ('{output_dir: "runs/${a}"}', "{a: [1, 2], b: [1, 2]}", "runs/1 is the folder of variant a=1, b=1 and of"),
        ('{output_dir: "runs/${a}"}', "{a: [x, x/y], b: [1]}", "lies inside that of variant a=x, b=1"),
        ('{output_dir: "runs/${a}"}', "{a: [.], b: [1]}", "is the folder of what is common to all variants"),
        ('{output_dir: "runs/${a}"}', "{a: [events], b: [1]}", "is the folder of what is common to all variants"),
        ('{output_dir: "${simulation}/${a}"}', "{a: [1], b: [1]}", "'simulation' lies in this folder"),
        ("{output_dir: runs}", "{a: [x/y, x_y], b: [1]}", "give the values names that differ in letters and digits"),
        ("${a}", "{a: {p: {output_dir: x}, q: {output_dir: y}}, b: [1]}", "is not the same in all variants"),
    ],
)
def test_folders_that_cannot_be(run: str, values: str, expected: str) -> None:
    text = f"for_each: {values}\nrun: {run}\nreport: {{output: '${{a.name}}${{b}}'}}\nevaluate:\n{HEAD}"
    if "{a: {p" not in values:
        text = text.replace("${a.name}", "${a}")
    with pytest.raises(UserError) as caught:
        study(text)
    assert expected in str(caught.value)
    assert "run.output_dir" in str(caught.value)


def test_select() -> None:
    variants = loaded("for_each: {plane: [u, v, y], lr: [1e-3, 1]}\nrun: {name: '${plane}${lr}'}\n" + HEAD)

    def names(*wanted: str) -> list[str]:
        return [variant.name for variant in select(variants, wanted)]

    assert len(names()) == 6
    assert names("plane=u") == ["plane=u, lr=0.001", "plane=u, lr=1"]
    assert names("plane=u", "plane=y", "lr=1e-3") == ["plane=u, lr=0.001", "plane=y, lr=0.001"]
    for wanted, expected in {
        "plane=U": "'plane' has no value 'U'; did you mean 'u'? valid: u, v, y",
        "plain=u": "the chain has no variable 'plain'; did you mean 'plane'? valid: plane, lr",
        "plane": "write it as name=value",
        "lr=[1": "'lr' has no value '[1'",
    }.items():
        with pytest.raises(UserError) as caught:
            names(wanted)
        assert expected in str(caught.value)
    with pytest.raises(UserError, match="it has no section for_each"):
        select(loaded(HEAD), ["plane=u"])
