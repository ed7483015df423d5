"""Muon: momentum whose step on every convolution kernel is made orthogonal.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), for the method and the
coefficients of the iteration. The entries of a step have one size whatever the shape of the kernel, as Liu et al.
propose (arXiv:2502.16982, which takes 0.2 of it); learning rates of Adam serve as a first guess.
torch.optim.Muon takes matrices only and iterates on them in bfloat16; a sparse kernel is K matrices one above the
other, far taller than wide, so that the iteration here runs on the small Gram matrix, in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalise"]

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_LEAST_WIDTH = 8  # a kernel with fewer inputs or outputs (the first convolution) is left to AdamW


def orthogonalise(matrix: Tensor) -> Tensor:
    """The matrix with its singular values moved to about 1 (0.7 to 1.2), by the quintic Newton-Schulz iteration.

    Args:
        matrix: (m, n) float32.

    Returns:
        (m, n). With X = U S V^T each step takes X to a X + b X X^T X + c X (X^T X)^2; as all factors to the right of
        X are polynomials of its Gram matrix X^T X, they are gathered in one n x n matrix (n the shorter side).
    """
    if matrix.shape[0] < matrix.shape[1]:
        return orthogonalise(matrix.T).T
    a, b, c = _QUINTIC
    scaled = matrix / (matrix.norm() + 1e-7)
    gram = scaled.T @ scaled
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor = identity
    for _ in range(_ITERATIONS):
        step = a * identity + gram @ (b * identity + c * gram)
        factor = factor @ step
        gram = step @ gram @ step
    orthogonal: Tensor = scaled @ factor
    return orthogonal


class Muon(torch.optim.Optimizer):
    """Muon for the kernels (K, C_in, C_out) of convolutions, AdamW for everything else, at one learning rate.

    Args:
        parameters: of a network; what has three axes and at least 8 inputs and outputs is a kernel.
        lr: root mean square of the entries of a kernel's step; the learning rate of AdamW for the others.
        momentum: beta of the kernels' momentum (Nesterov), and beta_1 of AdamW.
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        every = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in every if _is_kernel(p) == kernels], "kernels": kernels} for kernels in (True, False)
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "beta_2": 0.999, "eps": 1e-8},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step with the gradients at hand, or those that `closure` makes; what it returns (the loss), or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = _move_kernel if group["kernels"] else _move_adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, cast(dict[str, Any], self.state[parameter]), group)
        return loss


def _is_kernel(parameter: Tensor) -> bool:
    return parameter.ndim == 3 and min(parameter.shape[1:]) >= _LEAST_WIDTH


def _move_kernel(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    grad = cast(Tensor, parameter.grad)
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    momentum: Tensor = state["momentum"]
    momentum.lerp_(grad, 1 - group["momentum"])
    ahead = grad.lerp(momentum, group["momentum"]).flatten(0, 1)
    # The entries of an orthogonal matrix have a root mean square of 1 / sqrt(longer side); those of this step have lr.
    scale = max(ahead.shape) ** 0.5
    parameter.add_(orthogonalise(ahead).view_as(parameter), alpha=-group["lr"] * scale)


def _move_adam(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    grad = cast(Tensor, parameter.grad)
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    state["step"] += 1
    beta_1, beta_2, count = group["momentum"], group["beta_2"], float(state["step"])
    state["first"].lerp_(grad, 1 - beta_1)
    state["second"].mul_(beta_2).addcmul_(grad, grad, value=1 - beta_2)
    width = (state["second"] / (1 - beta_2**count)).sqrt_().add_(group["eps"])
    parameter.addcdiv_(state["first"], width, value=-group["lr"] / (1 - beta_1**count))
