"""How the compiled library takes tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["DTYPES", "whole_rows"]

DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}
"""`LartpcDtype` of src/api.h."""


def whole_rows(feats: Tensor) -> Tensor:
    """The features with every row in one piece of memory."""
    return feats if feats.stride(1) == 1 and feats.stride(0) >= feats.shape[1] else feats.contiguous()
