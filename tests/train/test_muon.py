"""The Muon optimiser: orthogonal steps on kernels, AdamW on everything else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from lartpc_sparse.train.muon import Muon, orthogonalise


def newton_schulz(matrix: Tensor) -> Tensor:
    """The iteration on the matrix itself, in float64."""
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x.T @ x
        x = 3.4445 * x - 4.7750 * x @ gram + 2.0315 * x @ gram @ gram
    return x


@pytest.mark.parametrize("shape", [(648, 24), (24, 24), (10, 40), (8, 144)])
def test_steps_are_those_of_the_iteration_on_the_matrix(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonalise(matrix)
    # The Gram matrix squares the singular values, so that small ones (of a square matrix) keep fewer digits.
    digits = 1e-5 if shape[0] != shape[1] else 5e-3
    torch.testing.assert_close(found.double(), newton_schulz(matrix), rtol=1e-4, atol=digits)
    singular = torch.linalg.svdvals(found)
    if shape[0] != shape[1]:  # a square random matrix has singular values near 0
        assert 0.6 < float(singular.min()) <= float(singular.max()) < 1.3


def test_nothing_stays_nothing() -> None:
    assert orthogonalise(torch.zeros(30, 8)).tolist() == [[0.0] * 8] * 30


def test_a_matrix_of_low_rank_stays_finite() -> None:
    column = torch.randn(200, 1, generator=torch.Generator().manual_seed(2))
    found = orthogonalise(column @ torch.ones(1, 16))
    assert torch.isfinite(found).all()
    assert float(torch.linalg.svdvals(found)[0]) == pytest.approx(1.0, abs=0.35)


def test_a_kernel_moves_by_the_rate_in_orthogonal_directions() -> None:
    kernel = nn.Parameter(torch.zeros(27, 8, 16))
    kernel.grad = torch.randn(27, 8, 16, generator=torch.Generator().manual_seed(3))
    Muon([kernel], lr=0.01).step()
    step = kernel.detach().flatten(0, 1)
    assert float(step.pow(2).mean().sqrt()) == pytest.approx(0.01, rel=0.2)
    assert float((step * kernel.grad.flatten(0, 1)).sum()) < 0


def test_momentum_looks_ahead() -> None:
    grads = torch.randn(3, 27, 8, 8, generator=torch.Generator().manual_seed(4))
    kernel = nn.Parameter(torch.zeros(27, 8, 8))
    optimizer = Muon([kernel], lr=0.01, momentum=0.9, weight_decay=0.5)
    expected, average = torch.zeros(27 * 8, 8), torch.zeros(27 * 8, 8)
    for grad in grads:
        kernel.grad = grad
        optimizer.step()
        flat = grad.flatten(0, 1)
        average = 0.9 * average + 0.1 * flat
        ahead = 0.1 * flat + 0.9 * average
        expected = expected * (1 - 0.01 * 0.5) - 0.01 * (27 * 8) ** 0.5 * newton_schulz(ahead).float()
    torch.testing.assert_close(kernel.detach().flatten(0, 1), expected, rtol=1e-3, atol=1e-5)


def test_other_parameters_take_the_steps_of_adamw() -> None:
    shapes = [(27, 1, 24), (24,), (24, 5), (5,)]
    ours = [nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(5))) for shape in shapes]
    theirs = copy.deepcopy(ours)
    optimizers = (
        Muon(ours, lr=0.01, momentum=0.9, weight_decay=0.1),
        torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.999), weight_decay=0.1),
    )
    for step in range(5):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            grad = torch.randn(shapes[number], generator=torch.Generator().manual_seed(10 * step + number))
            for parameter in pair:
                parameter.grad = grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_stored_state_goes_on_the_same() -> None:
    def run(steps: range, parameters: list[nn.Parameter], optimizer: Muon) -> None:
        for step in steps:
            for number, parameter in enumerate(parameters):
                parameter.grad = torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(9 * step + number)
                )
            optimizer.step()

    parameters = [nn.Parameter(torch.ones(8, 8, 8)), nn.Parameter(torch.ones(8))]
    optimizer = Muon(parameters, lr=0.01)
    run(range(2), parameters, optimizer)
    again = copy.deepcopy(parameters)
    restored = Muon(again, lr=1.0)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(range(2, 4), parameters, optimizer)
    run(range(2, 4), again, restored)
    assert all(torch.equal(one, other) for one, other in zip(parameters, again, strict=True))
