"""Weights of MinkowskiEngine networks in ours: the same output, and every key that does not fit is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from minkowski_uresnet import IN_CHANNELS, SAVED, SETTINGS, MinkowskiUResNet, events, trained
from torch import Tensor

from lartpc_sparse.backbone import UResNet, UResNetConfig
from lartpc_sparse.backbone.from_minkowski import MINKOWSKI_NAMING, from_minkowski
from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import SparseTensor, SubmanifoldConv, kernel_offsets
from lartpc_sparse.sparse.engines.minkowski_package import reason_unavailable

REASON = reason_unavailable("cpu")
needs_minkowski = pytest.mark.skipif(REASON is not None, reason=str(REASON))
in_2d_and_3d = pytest.mark.parametrize("dim", [2, 3])


def ours(dim: int, streams: tuple[str, ...] = ("semantic.logits",), **settings: Any) -> UResNet:
    torch.manual_seed(99)
    config = UResNetConfig.model_validate({**SETTINGS[dim], **settings})
    return config.build(in_channels=IN_CHANNELS, dim=dim, streams=streams)


def saved(dim: int) -> dict[str, Any]:
    case: dict[str, Any] = torch.load(SAVED, weights_only=True)[dim]
    return case


def output(network: UResNet, coords: Tensor, feats: Tensor, offsets: Tensor) -> Tensor:
    with torch.no_grad():
        (out,) = network.eval()(SparseTensor.build(coords, feats, offsets)).values()
    result: Tensor = out.feats
    return result


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the order of float32 sums."""
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@in_2d_and_3d
def test_a_saved_network_computes_the_same(dim: int) -> None:
    case = saved(dim)
    network = ours(dim)
    network.load_state_dict(from_minkowski(case["state"], network))
    assert_same(output(network, case["coords"], case["feats"], case["offsets"]), case["out"])


@needs_minkowski
@in_2d_and_3d
def test_a_network_made_now_computes_the_same(dim: int) -> None:
    theirs, network = trained(dim, seed=7), ours(dim)
    network.load_state_dict(from_minkowski(theirs.state_dict(), network))
    voxels = events(dim, seed=8)
    with torch.no_grad():
        expected = theirs.apply_to(*voxels)
    assert_same(output(network, *voxels), expected)


@needs_minkowski
@in_2d_and_3d
def test_the_saved_output_is_what_minkowski_computes(dim: int) -> None:
    case, theirs = saved(dim), MinkowskiUResNet(dim, **SETTINGS[dim])
    theirs.load_state_dict(case["state"])
    with torch.no_grad():
        out = theirs.eval().apply_to(case["coords"], case["feats"], case["offsets"])
    assert_same(out, case["out"])


def test_the_order_of_the_slots_matters() -> None:
    """The saved network tells kernels in MinkowskiEngine's order from kernels in ours."""
    case = saved(2)
    network = ours(2)
    state = from_minkowski(case["state"], network)
    state["encoder.stem.weight"] = case["state"]["input_layer.kernel"]
    network.load_state_dict(state)
    difference = output(network, case["coords"], case["feats"], case["offsets"]) - case["out"]
    assert float(difference.abs().max()) > 0.1


def test_slots_of_a_kernel_that_is_no_cube() -> None:
    """Where the axes differ, putting slots into our order is not the same as taking them out of it."""
    network = ours(2)
    network.encoder.stem = SubmanifoldConv(IN_CHANNELS, SETTINGS[2]["filters"], (3, 5), dim=2)
    offsets = kernel_offsets((3, 5))
    theirs = sorted(offsets, key=lambda offset: offset[::-1])
    numbered = torch.arange(15.0)[:, None, None].expand(15, IN_CHANNELS, SETTINGS[2]["filters"])
    weight = from_minkowski({**saved(2)["state"], "input_layer.kernel": numbered}, network)["encoder.stem.weight"]
    assert weight[:, 0, 0].tolist() == [theirs.index(offset) for offset in offsets]


def test_a_kernel_of_one_voxel_gets_its_slot() -> None:
    kernel = torch.randn(IN_CHANNELS, SETTINGS[2]["filters"], generator=torch.Generator().manual_seed(0))
    converted = from_minkowski({**saved(2)["state"], "input_layer.kernel": kernel}, ours(2, input_kernel=1))
    assert torch.equal(converted["encoder.stem.weight"], kernel[None])


def test_linear_shortcuts_are_transposed() -> None:
    case = saved(2)
    state = dict(case["state"])
    moved = [key for key in state if key.endswith("residual.kernel")]
    assert moved
    for key in moved:
        state[key.replace("kernel", "linear.weight")] = state.pop(key).T
    network = ours(2)
    network.load_state_dict(from_minkowski(state, network))
    assert_same(output(network, case["coords"], case["feats"], case["offsets"]), case["out"])


def test_biases_become_vectors() -> None:
    network = ours(2, norm="none")
    expected = network.state_dict()
    state = {
        key: value
        for key, value in saved(2)["state"].items()
        if ".bn." not in key  # nothing is normalised, so the convolutions have biases
    }
    for key in [key for key in state if key.endswith("kernel") and "residual" not in key]:
        state[key.replace("kernel", "bias")] = torch.full((1, state[key].shape[-1]), 0.5)
    converted = from_minkowski(state, network)
    biases = [name for name in expected if name.endswith("bias")]
    assert biases
    for name in biases:
        assert torch.equal(converted[name], torch.full_like(expected[name], 0.5))


def test_other_names_by_other_rules() -> None:
    case = saved(2)
    network = ours(2)
    state = {key.replace("input_layer", "backbone.first"): value for key, value in case["state"].items()}
    naming = ((r"backbone\.first", "encoder.stem"), *MINKOWSKI_NAMING)
    network.load_state_dict(from_minkowski(state, network, naming))
    assert_same(output(network, case["coords"], case["feats"], case["offsets"]), case["out"])


def test_what_does_not_fit_is_named() -> None:
    state = dict(saved(2)["state"])
    state["ppn.kernel"] = torch.zeros(9, 4, 4)
    state["step"] = torch.zeros(())
    state["encoding_block.7.0.conv1.kernel"] = torch.zeros(9, 4, 4)
    state["encoding_block.0.0.conv1.kernel"] = torch.zeros(8, 4, 4)
    state["encoding_conv.0.0.kernel"] = torch.zeros(9, 4, 4)
    del state["decoding_conv.1.2.kernel"]
    with pytest.raises(UserError) as caught:
        from_minkowski(state, ours(2))
    assert str(caught.value).splitlines()[1:] == [
        "  encoding_block.0.0.conv1.kernel: of shape (8, 4, 4) does not fit encoder.blocks.0.0.path.1.weight of "
        "(9, 4, 4)",
        "  ppn.kernel: no rule of the naming says what it is",
        "  step: no rule of the naming says what it is",
        "  encoding_block.7.0.conv1.kernel: would be encoder.blocks.7.0.path.1.weight, which this network does not "
        "have",
        "  encoding_conv.0.0.kernel: would be encoder.down.0.0.0.weight, as another key is",
        "  decoders.semantic:logits.up.1.1.weight: nothing there fills it",
    ]


def test_a_network_of_another_depth_is_refused() -> None:
    with pytest.raises(UserError, match=r"decoding_conv\.1\.2\.kernel: would be decoders\.semantic:logits\.up\.1\.1"):
        from_minkowski(saved(2)["state"], ours(2, depth=1))


def test_a_kernel_where_a_norm_should_be_is_refused() -> None:
    state = dict(saved(2)["state"])
    state["final.0.kernel"] = state.pop("final.0.bn.weight")[None, None].expand(9, 4, 4)
    with pytest.raises(UserError, match=r"final\.0\.kernel: of shape \(9, 4, 4\) does not fit .* of \(4,\)"):
        from_minkowski(state, ours(2))


def test_several_decoders_must_be_named() -> None:
    network = ours(2, streams=("a.one", "b.two"))
    with pytest.raises(UserError, match=r"decoders \['a:one', 'b:two'\]: write one"):
        from_minkowski(saved(2)["state"], network)
    naming = tuple((there, here.replace("{decoder}", "a:one")) for there, here in MINKOWSKI_NAMING)
    with pytest.raises(UserError, match=r"decoders\.b:two\.\S+: nothing there fills it"):
        from_minkowski(saved(2)["state"], network, naming)


def test_the_saved_file_is_small() -> None:
    assert SAVED.stat().st_size < 200_000
