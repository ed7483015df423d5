"""Weights files: what they keep, what they say, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lartpc_sparse.network import ModelConfig, Network
from lartpc_sparse.run import main as run_chain
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights import describe, differences, find_weights, load_weights, read_state, sha256_of
from lartpc_sparse.weights.__main__ import main
from lartpc_sparse.weights.export import export_weights
from lartpc_sparse.weights.packing import pack, unpack
from lartpc_sparse.weights.weights_file import read_about, read_tensors, write_weights


def test_float32_keeps_every_bit_and_float16_the_norms(tiny_run: Path, tiny_file: Path, tmp_path: Path) -> None:
    trained, exact = read_state(find_weights(str(tiny_run))), read_state(tiny_file)
    assert trained.keys() == exact.keys()
    assert all(torch.equal(trained[name], exact[name]) for name in trained)
    half = tmp_path / "half.safetensors"
    export_weights(str(tiny_run), "half", half)
    assert half.stat().st_size < tiny_file.stat().st_size
    for name, value in read_state(half).items():
        if value.ndim > 1:
            torch.testing.assert_close(value, trained[name], rtol=2**-11, atol=2**-25)
        else:
            assert torch.equal(value, trained[name])


def test_twelve_bits_are_three_quarters_of_float16(tiny_run: Path, tmp_path: Path) -> None:
    trained = read_state(find_weights(str(tiny_run)))
    packed, half = tmp_path / "packed.safetensors", tmp_path / "half.safetensors"
    export_weights(str(tiny_run), "packed", packed, storage="int12")
    export_weights(str(tiny_run), "half", half)
    kernels = sum(value.numel() for value in trained.values() if value.ndim > 1)
    assert half.stat().st_size - packed.stat().st_size > 0.4 * kernels - 20_000  # scales and shapes
    for name, value in read_state(packed).items():
        assert value.shape == trained[name].shape
        if value.ndim > 1:
            largest = trained[name].reshape(-1, value.shape[-1]).abs().amax(0)
            assert ((value - trained[name]).abs() <= 1.001 * largest / 4094).all()
        else:
            assert torch.equal(value, trained[name])


def test_whoever_may_read_other_files_may_read_weights(tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "w.safetensors"
    other.touch()
    write_weights(file, {"stem": torch.ones(2, 2)}, {}, "float32")
    assert file.stat().st_mode == other.stat().st_mode


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 2**31))
def test_packing_keeps_whole_numbers(shape: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-2047, 2048, shape, generator=generator).float()
    if weight.numel():
        weight.reshape(-1, shape[-1])[0] = 2047.0  # so that every scale is 1
    bytes_, scale = pack(weight)
    assert torch.equal(unpack(bytes_, scale, shape), weight)


def test_packed_tensors_that_do_not_fit_are_damage(tmp_path: Path) -> None:
    file = tmp_path / "wrong.safetensors"
    tensors = {"a.int12": torch.zeros(3, dtype=torch.uint8), "a.scale": torch.ones(2)}
    save_file(tensors, file, metadata={"format": "lartpc_sparse.weights", "int12": json.dumps({"a": [3, 2]})})
    with pytest.raises(UserError, match="does not fit its description"):
        read_tensors(file)
    save_file(tensors, file, metadata={"format": "lartpc_sparse.weights", "int12": json.dumps({"b": [1, 2]})})
    with pytest.raises(UserError, match="does not fit its description"):
        read_tensors(file)


def test_what_a_file_says(tiny_run: Path, tiny_file: Path) -> None:
    described = describe(tiny_file)
    assert described.model == describe(find_weights(str(tiny_run))).model
    assert [transform["kind"] for transform in described.transforms] == ["merge_duplicates", "log_energy"]
    assert described.transforms[1]["min"] == 0.02
    about = described.about
    assert about["task"] == "semantic, inpaint"
    assert about["trained_on"] == "6 events of the packaged sample"
    assert about["trained_with"]["git_hash"]
    assert about["training"]["epochs"] == 1
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert about["metrics"]["heads"]["semantic"]["accuracy"] == metrics["heads"]["semantic"]["accuracy"]
    assert str(tiny_run.parent) not in json.dumps(about)  # paths of the user stay at home
    card = tiny_file.with_suffix(".md").read_text()
    for text in ("# tiny3d", "6 events of the packaged sample", "## Limits", "- semantic: accuracy", "log_energy"):
        assert text in card


def test_metrics_of_other_weights_do_not_count(tiny_run: Path, tmp_path: Path) -> None:
    last = tiny_run / "training" / "last.ckpt"
    other = tmp_path / "run" / "training"
    other.mkdir(parents=True)
    state = torch.load(last, weights_only=True)
    state["state_dict"]["network.heads.semantic.classify.bias"] += 1
    torch.save(state, other / "best.ckpt")
    metrics = tmp_path / "run" / "metrics.json"
    metrics.write_text((tiny_run / "metrics.json").read_text())
    export_weights(str(tmp_path / "run"), "other", tmp_path / "other.safetensors")
    assert "metrics" not in read_about(tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="is not of"):
        export_weights(str(tmp_path / "run"), "other", tmp_path / "other.safetensors", metrics=metrics)


def test_a_run_that_trained_nothing_hands_on_its_options_and_numbers(tiny_run: Path, tmp_path: Path) -> None:
    chain = tmp_path / "chain.yaml"
    values = {
        "run": {"output_dir": str(tmp_path / "later")},
        "weights": str(tiny_run),
        "data": {"test": {"kind": "sample", "split": "test", "limit": 2}},
        "model": {"heads": {"semantic": None, "gaps": {"kind": "inpaint", "threshold": 0.37}}},
        "predict": {},
        "evaluate": {},
    }
    chain.write_text(yaml.safe_dump(values))
    assert run_chain([str(chain)]) == 0
    export_weights(str(tmp_path / "later"), "later", tmp_path / "later.safetensors", storage="float32")
    described = describe(tmp_path / "later.safetensors")
    assert described.model["heads"]["gaps"]["threshold"] == 0.37
    assert described.about["metrics"]["events"] == 2
    ours, theirs = read_state(tmp_path / "later.safetensors"), read_state(find_weights(str(tiny_run)))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_command_lists_shows_and_exports(
    packaged: str,
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a terminal wide enough not to wrap
    assert main([]) == 0
    listed = capsys.readouterr().out
    for text in (packaged, "semantic, inpaint", "3", "accuracy"):
        assert text in listed
    assert main([packaged]) == 0
    assert capsys.readouterr().out == "# tiny3d\n\nA card.\n"
    output = tmp_path / "mine.safetensors"
    assert main(["--export", str(tiny_run), "--name", "mine", "--output", str(output)]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main([str(output)]) == 0
    assert "# mine" in capsys.readouterr().out
    assert main(["nothing"]) == 2
    assert packaged in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--export", str(tiny_run)])
    assert main(["--export", str(tiny_run), "--name", "a b", "--output", str(output)]) == 2
    assert main(["--export", str(tiny_run), "--name", "mine", "--output", "mine.pt"]) == 2


def test_damaged_and_foreign_files_are_refused(tiny_file: Path, tmp_path: Path) -> None:
    for content in (b"", b"12345678", tiny_file.read_bytes()[:-10], b"\xff" * 100):
        damaged = tmp_path / "damaged.safetensors"
        damaged.write_bytes(content)
        with pytest.raises(UserError, match=r"damaged\.safetensors"):
            describe(damaged)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(UserError, match="not written by lartpc_sparse"):
        describe(foreign)
    save_file({"a": torch.zeros(1)}, foreign, {"format": "lartpc_sparse.weights", "format_version": "99"})
    with pytest.raises(UserError, match="version 99"):
        describe(foreign)
    save_file({"a": torch.zeros(1)}, foreign, {"format": "lartpc_sparse.weights", "format_version": "1", "about": "{}"})
    with pytest.raises(UserError, match="of which model"):
        describe(foreign)


@pytest.mark.parametrize("bad", [float("nan"), 1e6])
def test_values_that_cannot_be_stored_are_refused(bad: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stem"):
        write_weights(tmp_path / "bad.safetensors", {"stem": torch.full((2, 2), bad)}, {}, "float16")
    assert not list(tmp_path.iterdir())


def test_names_and_paths(packaged: str, tiny_file: Path, tiny_run: Path, tmp_path: Path) -> None:
    assert sha256_of(find_weights(packaged)) == sha256_of(tiny_file)
    assert find_weights(str(tiny_run)) == tiny_run / "training" / "best.ckpt"
    assert find_weights(str(tiny_run / "training")) == tiny_run / "training" / "best.ckpt"
    with pytest.raises(UserError, match=r"without training/best\.ckpt"):
        find_weights(str(tmp_path))
    with pytest.raises(UserError, match=f"'tiny'.*{packaged}"):
        find_weights("tiny")


def test_a_network_gets_the_weights_or_hears_what_differs(tiny_file: Path) -> None:
    trained = describe(tiny_file).model_config()
    network = Network(trained)
    load_weights(network, tiny_file)
    state = read_state(tiny_file)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())

    def changed(**parts: object) -> ModelConfig:
        return ModelConfig.model_validate({**trained.model_dump(mode="json"), **parts})

    backbone = trained.backbone.model_dump(mode="json")
    heads = {name: head.model_dump(mode="json") for name, head in trained.heads.items()}
    for config, texts in (
        (changed(dim=2), ["dim: 3 in the weights, 2 in the chain"]),
        (changed(backbone={**backbone, "filters": 8, "depth": 3}), ["backbone.filters: 4", "backbone.depth: 2"]),
        (
            changed(heads={**heads, "semantic": {**heads["semantic"], "classes": ["shower", "track"]}}),
            ["heads.semantic.classes: HIP, MIP, shower, delta, Michel in the weights, shower, track in the chain"],
        ),
        (
            changed(heads={**heads, "more": {"kind": "spatial_embedding"}}),
            ["heads.more: not in", "coordinates and a flag of masked regions in the chain"],
        ),
        (changed(heads={"semantic": heads["semantic"]}), ["input features"]),
    ):
        found = "\n".join(differences(trained, config))
        assert all(text in found for text in texts), found
        with pytest.raises(UserError, match="are of another model"):
            load_weights(Network(config), tiny_file)


def test_a_fresh_head_keeps_its_own_weights(tiny_file: Path) -> None:
    trained = describe(tiny_file).model_config().model_dump(mode="json")
    trained["heads"]["semantic"]["classes"] = ["shower", "MIP"]
    network = Network(ModelConfig.model_validate(trained))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, tiny_file, fresh=("semantic",))
    state = read_state(tiny_file)
    for name, value in network.state_dict().items():
        own = name.startswith(("heads.semantic.", "backbone.decoders.semantic:"))
        assert torch.equal(value, before[name] if own else state[name]), name
