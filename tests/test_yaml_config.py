"""YAML to configuration: values, places, includes, overrides, and the wording of complaints."""

from __future__ import annotations

import json
import math
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from lartpc_sparse.schema import Config, OneOf, PartConfig, UserError
from lartpc_sparse.yaml_config import ConfigError, dump_config, load_config
from lartpc_sparse.yaml_config.document import Node, parse_document, plain
from lartpc_sparse.yaml_config.error import suggestion
from lartpc_sparse.yaml_config.merge import apply_override, merge


class OptimizerConfig(PartConfig):
    pass


class SgdConfig(OptimizerConfig):
    kind: Literal["sgd"] = "sgd"
    lr: float = Field(0.1, gt=0)


class AdamConfig(OptimizerConfig):
    kind: Literal["adam"] = "adam"
    lr: float = Field(1e-3, gt=0)
    adam: int = 0

    @model_validator(mode="after")
    def _small(self) -> AdamConfig:
        if self.lr > 5:
            raise ValueError("lr above 5 never converges")
        return self


class HeadConfig(PartConfig):
    pass


class SemanticConfig(HeadConfig):
    kind: Literal["semantic"] = "semantic"
    classes: list[str]
    inner: Annotated[OptimizerConfig, OneOf(SgdConfig, AdamConfig)] = SgdConfig()


class InpaintConfig(HeadConfig):
    kind: Literal["inpaint"] = "inpaint"
    seed_value: float = 0.0


class ExternalHeadConfig(HeadConfig):
    kind: str = "outside_part:ExternalHeadConfig"
    width: int = 1
    sizes: dict[str, SgdConfig] = Field({})


Optimizer = Annotated[OptimizerConfig, OneOf(SgdConfig, AdamConfig)]
Head = Annotated[HeadConfig, OneOf(SemanticConfig, InpaintConfig)]


class TrainConfig(Config):
    epochs: int = Field(1, ge=1)
    optimizer: Optimizer = SgdConfig()
    devices: int | Literal["auto"] | list[int] = "auto"
    name: str = "none"
    save: bool = True


class ExampleConfig(Config):
    train: TrainConfig = TrainConfig()
    heads: dict[str, Head] = Field({})
    steps: list[Optimizer] = Field([])
    pair: tuple[Optimizer, Head] | None = None
    weights: dict[int, float] = Field({})
    path: Path = Path("out")


@pytest.fixture(autouse=True)
def _outside_part(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("outside_part")
    module.ExternalHeadConfig = ExternalHeadConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "outside_part", module)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, *overrides: str) -> ExampleConfig:
    Path("chain.yaml").write_text(text, encoding="utf-8")
    return load_config("chain.yaml", ExampleConfig, overrides)


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    return str(caught.value)


# Scalars ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E3", 1e3),
        ("-2e+4", -2e4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1_000", 1000),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        ("010", "010"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("e3", "e3"),
        ("'1e-3'", "1e-3"),
        ("{a: [1, 2]}", {"a": [1, 2]}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    root = parse_document(f"x: {text}", "f")
    assert root is not None
    found = plain(root)["x"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_float() -> None:
    root = parse_document("x: .nan", "f")
    assert root is not None
    assert math.isnan(plain(root)["x"])


# JSON is YAML, and Python writes and reads it by other code. Inside JSON's quotes only DEL and pairs of
# surrogates mean something else in YAML.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


def parsed(data: Any) -> Node:
    root = parse_document(json.dumps(data), "f")
    assert root is not None
    return root


@given(TREES)
def test_json_is_read_as_json(data: Any) -> None:
    assert plain(parsed(data)) == data


def test_places_are_line_and_column_of_keys_and_values() -> None:
    root = parse_document("a: 1\nb:\n  c: [10,\n      20]\n", "f.yaml")
    assert root is not None
    b = root.child("b")
    assert b is not None
    c = b.child("c")
    assert c is not None
    assert str(root.child("a").place) == "f.yaml:1:4"  # type: ignore[union-attr]
    assert str(b.key_place) == "f.yaml:2:1"
    assert str(c.key_place) == "f.yaml:3:3"
    assert str(c.child(1).place) == "f.yaml:4:7"  # type: ignore[union-attr]


def test_anchors_and_merge_keys() -> None:
    text = "base: &b {<<: {x: 0, y: 1}, x: 2}\nagain: *b\nmore: {<<: *b, y: 5}\n"
    root = parse_document(text, "f")
    assert root is not None
    assert plain(root) == {"base": {"x": 2, "y": 1}, "again": {"x": 2, "y": 1}, "more": {"x": 2, "y": 5}}


# Good files ---------------------------------------------------------------------------------------------------


def test_load(folder: Path) -> None:
    config = load(
        """
train: {epochs: 3, optimizer: {kind: adam, lr: 1e-3}, save: no}
heads:
  semantic: {kind: semantic, classes: [HIP, MIP], inner: {kind: adam}}
  mine: {kind: "outside_part:ExternalHeadConfig", width: 4}
steps: [{kind: sgd}, {kind: adam, adam: 2}]
weights: {1: 0.5}
"""
    )
    assert config.train == TrainConfig(epochs=3, optimizer=AdamConfig(lr=1e-3), save=False)
    assert config.heads["semantic"] == SemanticConfig(classes=["HIP", "MIP"], inner=AdamConfig())
    assert config.heads["mine"] == ExternalHeadConfig(width=4)
    assert config.steps == [SgdConfig(), AdamConfig(adam=2)]
    assert config.weights == {1: 0.5}


# Complaints of the model --------------------------------------------------------------------------------------


def test_unknown_key_names_place_cure_and_valid_keys(folder: Path) -> None:
    text = complaint("heads:\n  semantic:\n    kind: semantic\n    classes: [a]\n    Inmer: {kind: sgd}\n")
    assert text == (
        "chain.yaml:5:5: heads.semantic.Inmer: unknown key; did you mean 'inner'? valid: kind, classes, inner"
    )


def test_unknown_key_far_from_any(folder: Path) -> None:
    text = complaint("train:\n  zzz: 1\n")
    assert text.endswith("train.zzz: unknown key; valid: epochs, optimizer, devices, name, save")


def test_unknown_section(folder: Path) -> None:
    assert complaint("trian: {}").startswith("chain.yaml:1:1: trian: unknown key; did you mean 'train'?")


def test_suggestions_do_not_mind_the_case(folder: Path) -> None:
    assert "train.EPOCHS: unknown key; did you mean 'epochs'?" in complaint("train: {EPOCHS: 1}")
    assert suggestion("Mip", ["HIP", "MIP"]) == "did you mean 'MIP'? "


def test_wrong_value_names_the_value(folder: Path) -> None:
    text = complaint("train:\n  epochs: -3\n")
    assert text == "chain.yaml:2:11: train.epochs: should be greater than or equal to 1; given -3"


def test_missing_key_points_to_the_mapping(folder: Path) -> None:
    text = complaint("heads:\n  semantic:\n    kind: semantic\n")
    assert text == "chain.yaml:2:3: heads.semantic.classes: this key is required and missing"


def test_all_problems_at_once(folder: Path) -> None:
    lines = complaint("train: {epochs: 0, nme: x}\nweights: {1: x}\n").splitlines()
    assert lines[0] == "the configuration has 3 errors"
    assert [line.split(": ")[1] for line in lines[1:]] == ["train.epochs", "train.nme", "weights.1"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("heads: {semantic: {kind: semantic, classes: 5}}", "heads.semantic.classes"),
        ("heads: {inpaint: {kind: inpaint, seed_value: x}}", "heads.inpaint.seed_value"),
        ("heads: {kind: {kind: inpaint, seed_value: x}}", "heads.kind.seed_value"),
        ("steps: [{kind: sgd}, {kind: adam, adam: x}]", "steps.1.adam"),
        ("steps: [{kind: adam, lr: 9}]", "steps.0"),
        ("steps: [{kind: adam, adam: 1, lr: x}]", "steps.0.lr"),
        ("heads: {s: {kind: semantic, classes: [], inner: {kind: adam, lr: x}}}", "heads.s.inner.lr"),
        ("pair: [{kind: sgd, lr: 0}, {kind: inpaint}]", "pair.0.lr"),
        ("pair: [{kind: sgd}, {kind: inpaint, seed_value: x}]", "pair.1.seed_value"),
        ("train: {devices: [0, x]}", "train.devices.1"),
        ("heads: {m: {kind: 'outside_part:ExternalHeadConfig', width: x}}", "heads.m.width"),
        ("weights: {a: 1}", "weights.a"),
    ],
)
def test_path_is_what_the_user_wrote(folder: Path, text: str, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert path in [problem.path for problem in caught.value.problems]
    assert all("sgd" not in problem.path and ":" not in problem.path for problem in caught.value.problems)


def test_valid_keys_inside_lists_dicts_tuples_and_external_parts(folder: Path) -> None:
    assert "valid: kind, lr, adam" in complaint("steps: [{kind: adam, q: 1}]")
    assert "valid: kind, lr, adam" in complaint("pair: [{kind: adam, q: 1}, {kind: inpaint}]")
    assert "valid: kind, seed_value" in complaint("pair: [{kind: adam}, {kind: inpaint, q: 1}]")
    external = "heads: {m: {kind: 'outside_part:ExternalHeadConfig', wdth: 2}}"
    assert "heads.m.wdth: unknown key; did you mean 'width'? valid: kind, width, sizes" in complaint(external)
    nested = "heads: {m: {kind: 'outside_part:ExternalHeadConfig', sizes: {a: {kind: sgd, q: 2}}}}"
    assert "heads.m.sizes.a.q: unknown key; valid: kind, lr" in complaint(nested)


def test_validator_of_a_part(folder: Path) -> None:
    text = complaint("steps:\n- kind: adam\n  lr: 9\n")
    assert text == "chain.yaml:2:3: steps.0: lr above 5 never converges"


def test_union_members_are_joined(folder: Path) -> None:
    text = complaint("train: {devices: some}")
    assert len(text.splitlines()) == 1
    assert "valid integer" in text
    assert "; or should be 'auto'" in text
    assert text.endswith('given "some"')


def test_bad_key_of_a_dict(folder: Path) -> None:
    text = complaint("weights:\n  a: 0.5\n")
    assert text.startswith("chain.yaml:2:3: weights.a: should be a valid integer")


def test_unknown_kind(folder: Path) -> None:
    text = complaint("heads:\n  s:\n    kind: semantc\n")
    assert text.startswith("chain.yaml:3:11: heads.s.kind: unknown kind \"semantc\"; did you mean 'semantic'? valid: ")
    assert "valid: semantic, inpaint, or 'package.module:ClassConfig'" in text


def test_missing_kind(folder: Path) -> None:
    text = complaint("heads:\n  s: {classes: [a]}\n")
    assert text.startswith("chain.yaml:2:3: heads.s: the key 'kind' is required and missing; valid: semantic, inpaint")


def test_kind_written_as_the_value(folder: Path) -> None:
    text = complaint("train: {optimizer: adam}")
    assert "train.optimizer: should be a mapping with the key 'kind'; did you mean {kind: adam}? valid: sgd" in text
    assert text.endswith('given "adam"')


@pytest.mark.parametrize("kind", ["outside_part:Nothing", "no_such_package:X"])
def test_external_kind_that_cannot_be_imported(folder: Path, kind: str) -> None:
    text = complaint(f"heads:\n  m: {{kind: '{kind}'}}\n")
    assert text.startswith(f"chain.yaml:2:3: heads.m: cannot import '{kind}'")


def test_section_that_is_not_a_mapping(folder: Path) -> None:
    assert complaint("train: 5") == "chain.yaml:1:8: train: should be a mapping of keys to values; given 5"


def test_long_values_are_cut(folder: Path) -> None:
    assert len(complaint(f"train: {{epochs: {'x' * 500}}}")) < 300


def test_user_error_of_a_validator_passes_through(folder: Path) -> None:
    class Refusing(Config):
        @model_validator(mode="after")
        def _refuse(self) -> Refusing:
            raise UserError("no")

    Path("chain.yaml").write_text("{}")
    with pytest.raises(UserError, match=r"^no$"):
        load_config("chain.yaml", Refusing)


# Files that are not configurations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "train:\n  epochs: 1\n  epochs: 2\n",
            "chain.yaml:3:3: the key 'epochs' is given twice, first at chain.yaml:2:3",
        ),
        ("train: [1, 2\nheads: {}", "chain.yaml:2:6: not valid YAML"),
        ("train:\n\tepochs: 1\n", "chain.yaml:2:1: not valid YAML"),
        ("", "chain.yaml: the file is empty"),
        ("# nothing\n", "chain.yaml: the file is empty"),
        ("- 1\n- 2\n", "chain.yaml:1:1: the top level must be a mapping"),
        ("word", "chain.yaml:1:1: the top level must be a mapping"),
        ("a: 1\n---\nb: 2\n", "chain.yaml:2:1: not valid YAML"),
        ("path: !!python/name:os.system x", "chain.yaml:1:7: not valid YAML"),
        ("path: !!set {a}", "chain.yaml:1:7: the tag tag:yaml.org,2002:set is not allowed"),
        ("path: !!int abc", "chain.yaml:1:7: 'abc' does not fit its tag"),
        ("? [1]\n: 2\n", "chain.yaml:1:3: a key must be a word or a number"),
        ("path: &a [*a]", "chain.yaml:1:7: an alias (*name) stands inside"),
        ("path: *nothing", "chain.yaml:1:7: not valid YAML"),
        ("a: 1\nb: x\x00", "chain.yaml:2:5: not valid YAML"),
    ],
)
def test_refused_files(folder: Path, text: str, expected: str) -> None:
    assert complaint(text).startswith(expected)


def test_missing_file_suggests_its_neighbour(folder: Path) -> None:
    Path("chain.yaml").write_text("{}")
    with pytest.raises(ConfigError, match=r"^chian\.yaml: no such file; did you mean 'chain\.yaml'\?$"):
        load_config("chian.yaml", ExampleConfig)
    with pytest.raises(ConfigError, match=r"^nowhere/x\.yaml: no such file$"):
        load_config("nowhere/x.yaml", ExampleConfig)


def test_folder_and_binary_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file"):
        load_config(".", ExampleConfig)
    Path("b.yaml").write_bytes(b"a: \xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config("b.yaml", ExampleConfig)


# Includes -----------------------------------------------------------------------------------------------------


def test_includes_merge_and_the_including_file_wins(folder: Path) -> None:
    Path("base").mkdir()
    Path("base/a.yaml").write_text("train: {epochs: 1, name: a, save: false}\nsteps: [{kind: sgd}, {kind: sgd}]\n")
    Path("base/b.yaml").write_text("include: c.yaml\ntrain: {epochs: 2, name: b}\n")
    Path("base/c.yaml").write_text("train: {epochs: 9}\nweights: {3: 1.0}\n")
    config = load("include: [base/a.yaml, base/b.yaml]\ntrain: {epochs: 3}\nsteps: [{kind: adam}]\n")
    assert config.train == TrainConfig(epochs=3, name="b", save=False)
    assert config.steps == [AdamConfig()]
    assert config.weights == {3: 1.0}


def test_places_follow_the_file_a_value_came_from(folder: Path) -> None:
    Path("base.yaml").write_text("# comment\ntrain:\n  epochs: 0\n  name: [1]\n")
    lines = complaint("include: base.yaml\ntrain: {name: 5}\n").splitlines()
    assert lines[1].startswith("  base.yaml:3:11: train.epochs:")
    assert lines[2].startswith("  chain.yaml:2:15: train.name:")


def test_another_kind_replaces_the_options_of_the_old_one(folder: Path) -> None:
    Path("base.yaml").write_text("train: {optimizer: {kind: adam, adam: 4}, epochs: 2}\n")
    assert load("include: base.yaml\ntrain: {optimizer: {kind: sgd}}").train.optimizer == SgdConfig()
    assert load("include: base.yaml\ntrain: {optimizer: {lr: 2}}").train.optimizer == AdamConfig(adam=4, lr=2)


def test_null_in_the_including_file_wins(folder: Path) -> None:
    Path("base.yaml").write_text("pair: [{kind: sgd}, {kind: inpaint}]\n")
    assert load("include: base.yaml").pair is not None
    assert load("include: base.yaml\npair: null").pair is None


def test_include_of_one_file_twice_is_no_cycle(folder: Path) -> None:
    Path("a.yaml").write_text("include: c.yaml\n")
    Path("b.yaml").write_text("include: c.yaml\n")
    Path("c.yaml").write_text("train: {epochs: 4}\n")
    assert load("include: [a.yaml, b.yaml]").train.epochs == 4


def test_include_cycle(folder: Path) -> None:
    Path("a.yaml").write_text("{}\n")
    Path("b.yaml").write_text("include:\n- a.yaml\n- chain.yaml\n")
    text = complaint("include: b.yaml")
    assert text == "b.yaml:3:3: include: a file includes itself: chain.yaml -> b.yaml -> chain.yaml"


def test_include_of_a_missing_file_names_the_including_line(folder: Path) -> None:
    Path("base.yaml").write_text("{}")
    text = complaint("train: {}\ninclude: bse.yaml\n")
    assert text == "chain.yaml:2:10: include: no such file 'bse.yaml'; did you mean 'base.yaml'?"


@pytest.mark.parametrize("value", ["5", "[base.yaml, 5]", "{a: b}"])
def test_include_that_is_not_a_name(folder: Path, value: str) -> None:
    Path("base.yaml").write_text("{}")
    assert "include: must be a file name or a list of file names" in complaint(f"include: {value}")


def merged_by_hand(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {
        key: merged_by_hand(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key))
        for key in [*base, *(key for key in over if key not in base)]
    }


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_merge_agrees_with_plain_dicts(base: dict[str, Any], over: dict[str, Any]) -> None:
    first = parsed(base)
    assert plain(merge(first, parsed(over))) == merged_by_hand(base, over)
    assert plain(first) == base


# Overrides ----------------------------------------------------------------------------------------------------


def test_overrides_are_yaml_and_apply_in_order(folder: Path) -> None:
    text = "train: {epochs: 1}\nsteps: [{kind: sgd}, {kind: sgd}]\nweights: {1: 2.0}\n"
    config = load(
        text,
        "train.epochs=5",
        "train.epochs=7",
        "steps.1.lr=1e-3",
        "train.optimizer={kind: adam, adam: 3}",
        "train.name=a=b.c",
        "weights.1=4",
        "heads.new.kind=inpaint",
        "train.devices=[0, 1]",
    )
    assert config.train.epochs == 7
    assert config.steps == [SgdConfig(), SgdConfig(lr=1e-3)]
    assert config.train.optimizer == AdamConfig(adam=3)
    assert config.train.name == "a=b.c"
    assert config.weights == {1: 4.0}
    assert config.heads == {"new": InpaintConfig()}
    assert config.train.devices == [0, 1]


def test_override_finds_a_key_that_is_a_number() -> None:
    root = parse_document("weights: {1: 2.0}", "f")
    assert root is not None
    assert plain(apply_override(root, "weights.1=4")) == {"weights": {1: 4}}
    assert plain(root) == {"weights": {1: 2.0}}


def test_override_fills_an_empty_section_and_clears_a_value(folder: Path) -> None:
    assert load("train:\n", "train.epochs=2").train.epochs == 2
    assert load("pair: [{kind: sgd}, {kind: inpaint}]", "pair=").pair is None


def test_override_is_the_place_of_its_value(folder: Path) -> None:
    text = complaint("train: {epochs: 1}", "train.epochs=-1")
    assert text == "--set train.epochs=-1: train.epochs: should be greater than or equal to 1; given -1"
    assert complaint("{}", "train.epoch=1").startswith(
        "--set train.epoch=1: train.epoch: unknown key; did you mean 'epochs'?"
    )


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epochs", "--set train.epochs: write it as key.key=value"),
        ("=3", "--set =3: write it as"),
        ("train..epochs=3", "--set train..epochs=3: write it as"),
        ("train.epochs=[1", "--set train.epochs=[1: not valid YAML"),
        ("train.epochs.x=1", "--set train.epochs.x=1: train.epochs: not a mapping but 1 at chain.yaml:1:17"),
        ("steps.1.lr=1", "--set steps.1.lr=1: steps: a list of 1 at chain.yaml:2:1; '1' is not one of its indices"),
        ("steps.-1.lr=1", "--set steps.-1.lr=1: steps: a list of 1"),
        ("steps.first=1", "--set steps.first=1: steps: a list of 1"),
    ],
)
def test_refused_overrides(folder: Path, override: str, expected: str) -> None:
    assert complaint("train: {epochs: 1}\nsteps: [{kind: sgd}]\n", override).startswith(expected)


# Writing ------------------------------------------------------------------------------------------------------


def reload(config: ExampleConfig) -> ExampleConfig:
    return load(dump_config(config))


def test_dump_loads_back_and_keeps_the_order(folder: Path) -> None:
    config = load(
        """
weights: {1: .inf, 2: 1e-7}
train: {name: '1e-3', optimizer: {kind: adam, lr: 1e-3}, devices: [0, 1]}
heads: {z: {kind: semantic, classes: ['no', '1', 'ν', '0x1']}, a: {kind: "outside_part:ExternalHeadConfig"}}
pair: [{kind: sgd}, {kind: inpaint}]
"""
    )
    assert reload(config) == config
    text = dump_config(config)
    assert list(yaml.safe_load(text)) == list(ExampleConfig.model_fields)
    assert list(yaml.safe_load(text)["heads"]) == ["z", "a"]
    assert "devices: [0, 1]" in text
    assert "&" not in text


def test_aliases_of_fields_are_written_and_found(folder: Path) -> None:
    class Aliased(Config):
        inner: SgdConfig = Field(SgdConfig(), alias="from")

    Path("chain.yaml").write_text("from: {lr: 2}\n")
    config = load_config("chain.yaml", Aliased)
    Path("again.yaml").write_text(dump_config(config))
    assert load_config("again.yaml", Aliased) == config
    Path("bad.yaml").write_text("from: {q: 2}\n")
    with pytest.raises(ConfigError, match=r"from\.q: unknown key; valid: kind, lr"):
        load_config("bad.yaml", Aliased)


@given(
    name=st.text(),
    lr=st.floats(min_value=0, exclude_min=True),
    keys=st.dictionaries(st.integers(), st.floats(allow_nan=False)),
)
def test_dump_is_the_inverse_of_load(
    tmp_path_factory: pytest.TempPathFactory, name: str, lr: float, keys: dict[int, float]
) -> None:
    config = ExampleConfig(
        train=TrainConfig(name=name, optimizer=SgdConfig(lr=lr)), weights=keys, heads={name: InpaintConfig()}
    )
    file = tmp_path_factory.mktemp("dump") / "chain.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert load_config(file, ExampleConfig) == config
