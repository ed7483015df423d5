"""Input feature: a value in units of its own noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, require_finite_energy
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["Significance", "SignificanceConfig"]


class SignificanceConfig(TransformConfig):
    """First input feature: energy over the noise of the pixel (label `noise`), large values compressed."""

    kind: Literal["significance"] = "significance"
    compress: Literal["asinh", "none"] = Field(
        "asinh", description="asinh: straight for noise, logarithmic far above it; none: the ratio itself"
    )
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description="standard deviations that become asinh(1)")
    noise: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="of every pixel, in units of the energy; null: the label `noise`"
    )

    def build(self) -> Significance:
        """The transform."""
        return Significance(self.compress, self.scale, self.noise)


@dataclass(frozen=True)
class Significance:
    """See `SignificanceConfig`; energy and further features stay."""

    compress: Literal["asinh", "none"] = "asinh"
    scale: float = 1.0
    noise: float | None = None

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with the new feature.

        Raises:
            BadEventError: an energy that is not finite, or a noise that is not above 0.
            UserError: the events have no label `noise`.
        """
        if self.noise is None and "noise" not in event.labels:
            raise UserError(
                f"{event.key} has no label noise (it has {', '.join(sorted(event.labels)) or 'none'}), which "
                "significance needs; the reader `frames` gives it, or set significance.noise"
            )
        require_finite_energy(event)
        noise = np.full(len(event), self.noise, np.float32) if self.noise is not None else event.labels["noise"]
        # A dead pixel has neither noise nor, once it holds its pedestal, a signal: nothing over nothing is nothing.
        dead = (noise == 0) & (event.energy == 0)
        if not ((noise > 0) | dead).all():
            row = int(np.flatnonzero(~((noise > 0) | dead))[0])
            raise BadEventError(f"{event.key}: noise is {noise[row]} at pixel {event.coords[row].tolist()}")
        feature = (event.energy / (np.where(dead, 1, noise) * np.float32(self.scale))).astype(np.float32)
        if self.compress == "asinh":
            feature = np.arcsinh(feature)
        return event.replace(feats=np.concatenate([feature[:, None], event.feats[:, 1:]], axis=1))
