"""What every engine must compute: forward and both gradients against dense torch convolutions.

Tolerances are bounds, not habits: a sum of n products may err by about n roundings of its largest partial sum,
so every element is allowed (n + 2) * eps * (the same sum of absolute values), and no more.
"""

from __future__ import annotations

from collections.abc import Callable

import dense_oracle
import pytest
import torch
from convolution_cases import BASIC, CHANNELS, CONVOLUTIONS, STEPS, Convolution, assert_within
from torch import Tensor
from voxel_batches import Voxels, edge_cases, sample

from lartpc_sparse.sparse import Engine, KernelMap, Plan, SparseTensor
from lartpc_sparse.sparse.kernel import kernel_volume
from lartpc_sparse.sparse.operations import pool, strided_conv, submanifold_conv, transposed_conv


class ConvolutionContract:
    """Values and gradients; `EngineContract` says how to opt in."""

    device: str
    dtypes: tuple[torch.dtype, ...]

    def epsilon(self, dtype: torch.dtype) -> float:
        """Relative rounding of one product or sum; an engine that multiplies in TF32 says so here."""
        return torch.finfo(dtype).eps

    def require(self, dtype: torch.dtype) -> None:
        if dtype not in self.dtypes:
            pytest.skip(f"the engine has no {dtype}")

    def problem(
        self, case: Convolution, channels: tuple[int, int], voxels: Voxels, engine: Engine
    ) -> tuple[Plan, tuple[int, ...], Tensor, Tensor]:
        """A plan, the stride of the input, and float64 features and weight on the CPU."""
        plan = Plan.build(voxels.coords.to(self.device), voxels.offsets.to(self.device), engine)
        stride = (1,) * case.dim
        if case.kind == "transposed":
            stride = plan.coarser(stride, case.step).stride
        generator = torch.Generator().manual_seed(5)
        feats = torch.randn(len(plan.level(stride)), channels[0], generator=generator, dtype=torch.float64)
        volume = kernel_volume(case.kernel_size)
        weight = torch.randn(volume, *channels, generator=generator, dtype=torch.float64)
        return plan, stride, feats, weight

    def dense(self, case: Convolution, plan: Plan) -> Callable[[Tensor, Tensor], Tensor]:
        """The dense counterpart as a function of features and weight."""
        fine = plan.level((1,) * case.dim)
        if case.kind == "submanifold":
            return lambda f, w: dense_oracle.strided_conv(f, w, fine, fine, case.kernel_size, case.step)
        coarse = plan.coarser(fine.stride, case.step)
        if case.kind == "strided":
            return lambda f, w: dense_oracle.strided_conv(f, w, fine, coarse, case.kernel_size, case.step)
        return lambda f, w: dense_oracle.transposed_conv(f, w, coarse, fine, case.kernel_size, case.step)

    def sparse(self, case: Convolution, x: SparseTensor, weight: Tensor, bias: Tensor | None = None) -> SparseTensor:
        if case.kind == "submanifold":
            return submanifold_conv(x, weight, case.kernel_size, bias)
        if case.kind == "strided":
            return strided_conv(x, weight, case.kernel_size, case.step, bias)
        return transposed_conv(x, weight, case.kernel_size, case.step, bias)

    def check(
        self, case: Convolution, channels: tuple[int, int], dtype: torch.dtype, voxels: Voxels, engine: Engine
    ) -> None:
        """Forward and both gradients within their bounds."""
        self.require(dtype)
        plan, stride, feats, weight = self.problem(case, channels, voxels, engine)
        x, w = (tensor.to(self.device, dtype).requires_grad_() for tensor in (feats, weight))
        out = self.sparse(case, SparseTensor(x, plan, stride), w)
        assert out.feats.dtype == dtype
        assert out.feats.shape == (len(out.level), channels[1])
        direction = torch.randn(out.feats.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
        torch.autograd.backward(out.feats, direction.to(self.device, dtype))
        assert x.grad is not None
        assert w.grad is not None

        dense = self.dense(case, plan)
        # What the engine was given after rounding is the truth to compare with.
        feats, weight = x.detach().cpu().double(), w.detach().cpu().double()
        push = direction.to(dtype).double()
        expected = self.values_and_gradients(dense, feats, weight, push)
        sizes = self.values_and_gradients(dense, feats.abs(), weight.abs(), push.abs())
        terms = (weight.shape[0] * channels[0], weight.shape[0] * channels[1], len(out))
        names = ("forward", "gradient of the features", "gradient of the weight")
        for actual, value, size, n, name in zip(
            (out.feats, x.grad, w.grad), expected, sizes, terms, names, strict=True
        ):
            assert_within(actual, value, (n + 2) * self.epsilon(dtype) * size, f"{case} {channels} {name}")

    @staticmethod
    def values_and_gradients(
        dense: Callable[[Tensor, Tensor], Tensor], feats: Tensor, weight: Tensor, direction: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        feats, weight = feats.clone().requires_grad_(), weight.clone().requires_grad_()
        out = dense(feats, weight)
        feats_grad, weight_grad = torch.autograd.grad(out, (feats, weight), direction)
        return out.detach(), feats_grad, weight_grad

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
    def test_convolution_equals_dense(self, engine: Engine, case: Convolution, dtype: torch.dtype) -> None:
        self.check(case, (5, 3), dtype, sample(case.dim), engine)

    @pytest.mark.parametrize("channels", CHANNELS, ids=str)
    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_any_number_of_channels(self, engine: Engine, case: Convolution, channels: tuple[int, int]) -> None:
        self.check(case, channels, torch.float32, sample(case.dim), engine)

    @pytest.mark.parametrize("name", edge_cases(3))
    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_edge_cases_equal_dense(self, engine: Engine, case: Convolution, name: str) -> None:
        self.check(case, (2, 3), torch.float32, edge_cases(3)[name], engine)

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_the_bias_is_added_to_every_voxel(self, engine: Engine, case: Convolution) -> None:
        plan, stride, feats, weight = self.problem(case, (2, 3), sample(3), engine)
        x = SparseTensor(feats.to(self.device, torch.float32), plan, stride)
        w, bias = weight.to(self.device, torch.float32), torch.tensor([1.0, -2.0, 3.0], device=self.device)
        expected = self.sparse(case, x, w).feats + bias
        torch.testing.assert_close(self.sparse(case, x, w, bias).feats, expected, rtol=0, atol=0)

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_gradcheck(self, engine: Engine, case: Convolution) -> None:
        self.require(torch.float64)
        plan, stride, feats, weight = self.problem(case, (2, 3), edge_cases(3)["last event empty"], engine)
        inputs = tuple(tensor.to(self.device).requires_grad_() for tensor in (feats, weight))
        assert torch.autograd.gradcheck(
            lambda f, w: self.sparse(case, SparseTensor(f, plan, stride), w).feats, inputs, fast_mode=False
        )

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_one_gradient_without_the_other(self, engine: Engine, case: Convolution) -> None:
        plan, stride, feats, weight = self.problem(case, (2, 3), sample(3), engine)
        grads = []
        for wanted in [(True, True), (True, False), (False, True)]:
            x, w = (
                tensor.to(self.device, torch.float32).requires_grad_(needed)
                for tensor, needed in zip((feats, weight), wanted, strict=True)
            )
            torch.autograd.backward(self.sparse(case, SparseTensor(x, plan, stride), w).feats.square().sum())
            grads.append((x.grad, w.grad))
        (feats_grad, weight_grad), feats_only, weight_only = grads
        assert feats_only[1] is None
        assert weight_only[0] is None
        torch.testing.assert_close(feats_only[0], feats_grad, rtol=0, atol=0)
        torch.testing.assert_close(weight_only[1], weight_grad, rtol=0, atol=0)

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_memory_layout_does_not_matter(self, engine: Engine, case: Convolution) -> None:
        plan, stride, feats, weight = self.problem(case, (4, 3), sample(3), engine)
        results = []
        for strange in (False, True):
            x, w = (tensor.to(self.device, torch.float32) for tensor in (feats, weight))
            if strange:
                x = x.T.contiguous().T
                w = w.transpose(1, 2).contiguous().transpose(1, 2)
            x.requires_grad_()
            w.requires_grad_()
            out = self.sparse(case, SparseTensor(x, plan, stride), w).feats
            torch.autograd.backward(out.sum())  # the incoming gradient is one number expanded, of stride 0
            results.append((out, x.grad, w.grad))
        for plain, strange_ in zip(*results, strict=True):
            torch.testing.assert_close(strange_, plain, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("mode", ["max", "mean", "sum"])
    @pytest.mark.parametrize(("kernel_size", "step"), STEPS, ids=str)
    def test_pool_equals_dense(
        self, engine: Engine, kernel_size: tuple[int, ...], step: tuple[int, ...], mode: str
    ) -> None:
        voxels = sample(len(step))
        x = SparseTensor.build(
            voxels.coords.to(self.device),
            torch.randn(len(voxels), 5, generator=torch.Generator().manual_seed(7)).to(self.device).requires_grad_(),
            voxels.offsets.to(self.device),
            engine,
        )
        out = pool(x, kernel_size, step, mode)  # type: ignore[arg-type]
        direction = torch.randn(out.feats.shape, generator=torch.Generator().manual_seed(8))
        (grad,) = torch.autograd.grad(out.feats, x.feats, direction.to(self.device))
        feats = x.feats.detach().cpu().double().requires_grad_()
        expected = dense_oracle.pool(feats, x.level, out.level, kernel_size, step, mode)
        (expected_grad,) = torch.autograd.grad(expected, feats, direction.double())
        torch.testing.assert_close(out.feats.cpu().double(), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(grad.cpu().double(), expected_grad, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_autocast_computes_in_bfloat16(self, engine: Engine, case: Convolution) -> None:
        plan, stride, feats, weight = self.problem(case, (33, 5), sample(3), engine)
        x, w = (tensor.to(self.device, torch.float32).requires_grad_() for tensor in (feats, weight))
        bias = torch.ones(5, device=self.device)
        with torch.autocast(self.device, torch.bfloat16):
            out = self.sparse(case, SparseTensor(x, plan, stride), w, bias).feats
        assert out.dtype == torch.bfloat16
        torch.autograd.backward(out.float().sum())
        assert x.grad is not None
        assert w.grad is not None
        assert (x.grad.dtype, w.grad.dtype) == (torch.float32, torch.float32)
        dense, ones = self.dense(case, plan), torch.ones(out.shape, dtype=torch.float64)
        expected = self.values_and_gradients(dense, feats, weight, ones)
        sizes = self.values_and_gradients(dense, feats.abs(), weight.abs(), ones)
        # Both factors, each slot's product and the result are rounded to 8 bits.
        for actual, value, size in zip((out - 1, x.grad, w.grad), expected, sizes, strict=True):
            assert_within(actual, value, 2.0**-6 * (size + 1), f"{case} in bfloat16")

    def test_a_map_without_pairs_gives_zeros(self, engine: Engine) -> None:
        nothing = torch.zeros(0, dtype=torch.int64, device=self.device)
        kernel_map = KernelMap(nothing, nothing, (0, 0, 0), num_in=2, num_out=3)
        feats = torch.ones(2, 4, device=self.device, requires_grad=True)
        weight = torch.ones(2, 4, 5, device=self.device, requires_grad=True)
        out = engine.convolve(feats, weight, kernel_map)
        torch.autograd.backward(out.sum())
        assert torch.equal(out.cpu(), torch.zeros(3, 5))
        assert feats.grad is not None
        assert weight.grad is not None
        assert not feats.grad.any()
        assert not weight.grad.any()

    @pytest.mark.parametrize("shape", [(26, 2, 3), (27, 3, 3)], ids=["slots", "channels"])
    def test_a_weight_that_does_not_fit_is_refused(self, engine: Engine, shape: tuple[int, ...]) -> None:
        plan, stride, feats, _ = self.problem(BASIC[0], (2, 3), sample(3), engine)
        x = SparseTensor(feats.to(self.device), plan, stride)
        with pytest.raises(ValueError, match=f"{shape[0]}, {shape[1]}, {shape[2]}.*does not fit a kernel of 27"):
            submanifold_conv(x, torch.zeros(shape, dtype=torch.float64, device=self.device), (3, 3, 3))
