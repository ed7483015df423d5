"""bfloat16 on the CPU engine: products are exact, sums are in float32, one rounding at the end."""

from __future__ import annotations

import pytest
import torch
from convolution_cases import BASIC, Convolution, assert_within
from instruction_sets import KNOWN, instruction_set
from many_tracks import many_tracks
from property_contract import threads
from test_cpu_engine_tracks import problem, results

from lartpc_sparse.sparse import TorchEngine
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.native.kernels import pack_weight

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

ROUNDING = 2.0**-8  # half a unit in the last of 8 bits
SUM = 2.0**-23  # of float32


@pytest.mark.parametrize("channels", [(1, 1), (1, 33), (5, 16), (33, 5), (33, 160), (96, 96), (523, 3)], ids=str)
@pytest.mark.parametrize("case", BASIC, ids=str)
@pytest.mark.parametrize("name", KNOWN)
def test_one_rounding_at_the_end(name: str, case: Convolution, channels: tuple[int, int]) -> None:
    voxels = many_tracks(3, 2, shuffled=channels[0] % 3 == 0)
    given = problem(case, voxels, channels, torch.bfloat16)
    with instruction_set(name):
        found = results(CpuEngine(), case, voxels, *given)
    expected = results(TorchEngine(), case, voxels, *(tensor.double() for tensor in given))
    sizes = results(TorchEngine(), case, voxels, *(tensor.double().abs() for tensor in given))
    volume = len(given[1])
    terms = (volume * channels[0], volume * channels[1], len(found[0]))
    for one, value, size, n in zip(found, expected, sizes, terms, strict=True):
        assert one.dtype == torch.bfloat16
        bound = ROUNDING * value.abs() + (n + 2) * SUM * size
        assert_within(one, value, bound, f"{case} {channels}")


@pytest.mark.parametrize("channels", [(48, 32), (96, 96)], ids=str)
def test_the_number_of_threads_does_not_change_a_bit(channels: tuple[int, int]) -> None:
    voxels = many_tracks(3, 24)
    assert len(voxels) > 4000  # weight gradients in several pieces
    given = problem(BASIC[0], voxels, channels, torch.bfloat16)
    found = []
    for number in (1, 2, 3, 7):
        with threads(number):
            found.append(results(CpuEngine(), BASIC[0], voxels, *given))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", KNOWN)
def test_results_are_rounded_to_nearest_even(name: str) -> None:
    """Through a 1 x 1 weight of one: 1 + 2^-8 and 1 + 3 * 2^-8 are ties, one bit above the first is not."""
    values = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-16, -1 - 2.0**-8, 3.4e38, 1e-40, -0.0])
    x = torch.ones(1, 1, dtype=torch.bfloat16)
    weight = torch.zeros(1, len(values))
    with instruction_set(name):
        prepared = CpuEngine().prepare([weight], [Epilogue()], values, torch.bfloat16)
        (found,) = prepared([x], [None], 1)
    assert torch.equal(found[0], values.to(torch.bfloat16))


@pytest.mark.parametrize("shape", [(3, 4, 16), (3, 5, 17), (1, 1, 1), (2, 7)], ids=str)
def test_packed_weights_hold_two_channels_a_word(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    packed = pack_weight(weight)
    slots, (c_in, c_out) = shape[0] if len(shape) == 3 else 1, shape[-2:]
    halves = packed.view(torch.bfloat16).reshape(slots, (c_in + 1) // 2, -1, 2).transpose(2, 3)
    assert halves.shape[-1] % 16 == 0
    rows = halves.reshape(slots, -1, halves.shape[-1])
    assert torch.equal(rows[:, :c_in, :c_out], weight.reshape(slots, c_in, c_out))
    assert not rows[:, c_in:].any()
    assert not rows[:, :, c_out:].any()
