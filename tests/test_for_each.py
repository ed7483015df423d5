"""`for_each` and `${name}`: values, types, places of complaints, includes, overrides, escaping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from lartpc_sparse.schema import Config
from lartpc_sparse.yaml_config import ConfigError, DerivedVariables, Variant, dump_config, load_config, load_variants
from lartpc_sparse.yaml_config.document import Node, plain
from lartpc_sparse.yaml_config.error import Place
from lartpc_sparse.yaml_config.file_schema import file_schema
from lartpc_sparse.yaml_config.substitute import escape, substitute


class RunConfig(Config):
    name: str = "run"
    seed: int = Field(0, ge=0)


class SomeConfig(Config):
    run: RunConfig = RunConfig()
    files: list[str] = Field([])
    lr: float = 0.1
    weights: dict[str, float] = Field({})
    weighting: dict[str, Any] = Field({})


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def variants(text: str, *overrides: str, **more: Any) -> tuple[Variant[SomeConfig], ...]:
    Path("chain.yaml").write_text(text, encoding="utf-8")
    return load_variants("chain.yaml", SomeConfig, overrides, **more)


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        variants(text, *overrides)
    return str(caught.value)


# Values -------------------------------------------------------------------------------------------------------


def test_without_for_each_there_is_one_variant_without_a_name() -> None:
    (only,) = variants("run: {name: x}\n")
    assert only.name == ""
    assert only.config == SomeConfig(run=RunConfig(name="x"))


def test_every_combination_in_order_with_the_last_variable_fastest() -> None:
    found = variants('for_each: {plane: [u, y], seed: [1, 2]}\nrun: {name: "p ${plane}-${seed}", seed: "${seed}"}\n')
    assert [v.name for v in found] == ["plane=u, seed=1", "plane=u, seed=2", "plane=y, seed=1", "plane=y, seed=2"]
    assert [v.config.run.name for v in found] == ["p u-1", "p u-2", "p y-1", "p y-2"]
    assert [v.config.run.seed for v in found] == [1, 2, 1, 2]


def test_a_text_that_is_only_a_variable_keeps_type_and_may_be_anything() -> None:
    text = """
for_each:
  setup:
    few: {lr: 0.5, files: [a, b]}
    many: {lr: 1e-3, files: []}
  weighting: {plain: {kind: none}, published: {kind: cluster_vertex, vertex: 0.1}}
run: {name: "${setup.name}/${weighting.name}"}
weighting: ${weighting}
weights: {"${weighting.name}": 1}
<<: {}
lr: 2
files: ["${setup.name}"]
"""
    with pytest.raises(ConfigError, match="unknown key"):
        variants("for_each: {setup: {a: {lr: 1}}}\nrun: ${setup}\n")
    found = variants(text.replace("<<: {}\n", ""))
    assert [v.config.weighting for v in found[:2]] == [{"kind": "none"}, {"kind": "cluster_vertex", "vertex": 0.1}]
    assert found[1].config.weights == {"published": 1}
    assert found[3].config.run.name == "many/published"


@pytest.mark.parametrize(
    ("value", "text"), [("1", "1"), ("1e-3", "0.001"), ("true", "true"), ("null", "null"), ("'1e-3'", "1e-3")]
)
def test_scalars_inside_a_text(value: str, text: str) -> None:
    (only,) = variants(f'for_each: {{x: [{value}]}}\nrun: {{name: "a${{x}}b"}}\n')
    assert only.config.run.name == f"a{text}b"
    assert only.name == f"x={text}"


def test_what_is_put_in_is_not_looked_at_again() -> None:
    (only,) = variants("for_each: {x: ['$${x}']}\nrun: {name: '${x}'}\nfiles: ['$${x}', '$$${x}', 'a$b$']\n")
    assert only.config.run.name == "${x}"
    assert only.config.files == ["${x}", "$${x}", "a$b$"]


def test_variables_reach_included_files_their_names_and_overrides() -> None:
    Path("parts").mkdir()
    Path("parts/base.yaml").write_text("run: {name: 'base ${w}'}\nfor_each: {w: [plain, full], seed: [7]}\n")
    Path("parts/w_plain.yaml").write_text("lr: 1\n")
    Path("parts/w_full.yaml").write_text("lr: 2\nweights: {'${w}': 3}\n")
    text = "include: [parts/base.yaml, 'parts/w_${w}.yaml']\nrun: {seed: ${seed}}\n"
    assert "inside { } and [ ] a text with ${...} must be in quotes" in complaint(text)
    found = variants(text.replace("${seed}", "'${seed}'"), "files=['${w}.h5']", "for_each.seed=[8, 9]")
    assert [v.config.lr for v in found] == [1, 1, 2, 2]
    assert [v.config.run.seed for v in found] == [8, 9, 8, 9]
    assert found[3].config.weights == {"full": 3}
    assert found[3].config.run.name == "base full"
    assert found[3].config.files == ["full.h5"]


def test_derived_variables_follow_from_the_configurations() -> None:
    def of(found: Any) -> list[dict[str, str]]:
        return [{} if v.config.lr > 5 else {"place": f"at {v.config.lr} {v.config.run.name}"} for v in found]

    derived: DerivedVariables[SomeConfig] = DerivedVariables({"place": "small lr"}, of)
    text = "for_each: {lr: [1, 2], where: {here: ['${place}/x']}}\nlr: ${lr}\nfiles: ${where}\n"
    found = variants(text, derived=derived)
    assert [v.config.files for v in found] == [["at 1.0 run/x"], ["at 2.0 run/x"]]
    with pytest.raises(ConfigError, match="'place' has no value here: the configuration has no small lr"):
        variants(text, "for_each.lr=[9]", derived=derived)
    with pytest.raises(ConfigError, match=r"for_each\.place: the name 'place' is taken"):
        variants("for_each: {place: [1]}\n", derived=derived)


# Round trips --------------------------------------------------------------------------------------------------

TEXT = st.text(st.sampled_from("ab${}.\\ ") | st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)


@given(TEXT)
def test_an_escaped_text_is_read_as_it_was(text: str) -> None:
    assert plain(substitute(Node(escape(text), Place("f")), {}).root) == text


@given(TEXT)
def test_a_resolved_configuration_loads_to_the_same(text: str) -> None:
    config = SomeConfig(run=RunConfig(name=text), files=[text], weights={text: 1.0})
    Path("resolved.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config("resolved.yaml", SomeConfig) == config


@given(TEXT, TEXT, TEXT)
def test_a_value_stands_where_the_variable_stood(before: str, value: str, after: str) -> None:
    written = Node(escape(before).rstrip("$") + "${x}" + escape(after), Place("f"))
    found = substitute(written, {"x": Node(value, Place("g"))})
    assert found.root.value == before.rstrip("$") + value + after
    assert found.used == {"x"}


# Complaints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "for_each: {plane: [u]}\nrun:\n  name: ${plnae} ${plane}\n",
            "chain.yaml:3:9: run.name: no variable 'plnae'; did you mean 'plane'? valid: plane; write $${ for a",
        ),
        ("run:\n  name: x ${plane}\n", "chain.yaml:2:9: run.name: no variable 'plane'; there is no section for_each"),
        ("for_each: {a: [1]}\nfiles: ['${a}', '${a']\n", "chain.yaml:2:17: files.1: '${' without '}'; write $${"),
        (
            "for_each: {a: [1], b: [2]}\nlr: ${a}\n",
            "chain.yaml:1:20: for_each.b: the variable is used nowhere, so its variants would all be the same",
        ),
        ("for_each: {a: [1, 2, '1']}\nlr: ${a}\n", "chain.yaml:1:22: for_each.a: the value '1' is given twice"),
        ("for_each: {a: [{x: 1}]}\nlr: ${a}\n", "chain.yaml:1:16: for_each.a.0: a list or mapping needs a name"),
        ("for_each: {a: 3}\nlr: ${a}\n", "chain.yaml:1:15: for_each.a: should be a list of values, or a mapping"),
        ("for_each: {a: []}\nlr: ${a}\n", "chain.yaml:1:12: for_each.a: should be a list of values, or a mapping"),
        ("for_each: [1]\n", "chain.yaml:1:1: for_each: should be a mapping of names to lists"),
        ("for_each: {}\n", "chain.yaml:1:1: for_each: should be a mapping of names to lists"),
        ("for_each: {a-b: [1]}\n", "chain.yaml:1:12: for_each.a-b: a variable's name is of letters"),
        ("for_each: {a: ['']}\nlr: ${a}\n", "chain.yaml:1:16: for_each.a: an empty text cannot name a variant"),
        (
            "for_each: {a: {x: [1]}}\nrun: {name: 'n ${a}'}\n",
            "chain.yaml:2:13: run.name: the value of 'a' is a list and cannot stand in a text; ${a.name} is its name",
        ),
        ("for_each: {a: {x: [1]}}\nweights: {'${a}': 1}\n", "chain.yaml:2:11: weights.${a}: a key must be a word"),
        ("for_each: {a: [x]}\nweights: {'${a}': 1, x: 2}\n", "chain.yaml:2:22: weights.x: the key 'x' is given twice"),
        ("for_each: {a: [1]}\ninclude: 'no_${a}.yaml'\n", "chain.yaml:2:10: include: no such file 'no_1.yaml'"),
        ("for_each: {a: [1]}\ninclude: 'no_${b}.yaml'\n", "chain.yaml:2:10: include: no variable 'b'"),
        (
            "for_each: {seed: [1, -2, -3]}\nrun:\n  seed: ${seed}\n",
            "the configuration has 2 errors\n  chain.yaml:3:9: run.seed: should be greater than or equal to 0; "
            "given -2 (variant seed=-2)\n",
        ),
        (
            "for_each: {seed: [1, 2]}\nrun:\n  seed: ${seed}\n  nme: x\n",
            "chain.yaml:4:3: run.nme: unknown key; did you mean 'name'? valid: name, seed",
        ),
    ],
)
def test_complaints_name_place_key_and_cure(text: str, expected: str) -> None:
    found = complaint(text)
    assert found.startswith(expected)
    if "nme" in text:
        assert "variant" not in found


def test_a_set_on_the_command_line_is_named() -> None:
    text = "for_each: {a: [1]}\nlr: ${a}\n"
    assert complaint(text, "run.name=x ${b}").startswith("--set run.name=x ${b}: run.name: no variable 'b'; valid: a")


def test_a_file_chosen_by_a_variable_cannot_add_variants() -> None:
    Path("p_1.yaml").write_text("for_each: {b: [1]}\n")
    text = "for_each: {a: [1]}\ninclude: 'p_${a}.yaml'\n"
    assert "p_1.yaml:1:1" not in complaint(text)
    assert "for_each: a file whose name has a variable cannot add to this section" in complaint(text)


def test_one_configuration_is_wanted_and_there_are_several() -> None:
    Path("chain.yaml").write_text("for_each: {a: [1, 2]}\nlr: ${a}\n")
    with pytest.raises(ConfigError, match="describes 2 configurations where one is wanted"):
        load_config("chain.yaml", SomeConfig)


def test_null_takes_the_section_away() -> None:
    assert len(variants("for_each: {a: [1, 2]}\nlr: ${a}\n", "for_each=null", "lr=3")) == 1


def test_the_schema_knows_variables() -> None:
    schema = file_schema(SomeConfig)
    assert {"include", "for_each", "run"} <= schema["properties"].keys()
    seed = schema["$defs"]["RunConfig"]["properties"]["seed"]
    assert seed["anyOf"][0] == {"minimum": 0, "type": "integer"}
    assert seed["default"] == 0
