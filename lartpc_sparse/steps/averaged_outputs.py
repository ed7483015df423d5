"""Raw outputs of the heads, averaged over symmetric copies of the events and over several networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lartpc_sparse.config import TilesConfig
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.symmetries import SymmetryConfig, moved_batch, symmetries
from lartpc_sparse.network import Network
from lartpc_sparse.steps.tiled_outputs import tiled_outputs

__all__ = ["Predictor"]


@dataclass(frozen=True)
class Predictor:
    """Networks that predict together.

    Attributes:
        networks: at least one; all with the same heads.
        augmentation: symmetric copies of each event that are averaged over; None: the event alone.
        averaged: names of the heads that are averaged; the others are predicted by the first network from the event
            as it is.
        tiles: networks run tile by tile.
    """

    networks: tuple[Network, ...]
    augmentation: SymmetryConfig | None = None
    averaged: tuple[str, ...] = ()
    tiles: TilesConfig | None = None

    @property
    def first(self) -> Network:
        """The network whose heads decode."""
        return self.networks[0]

    def outputs(self, batch: Batch, heads: tuple[str, ...]) -> dict[str, Mapping[str, Tensor]]:
        """Raw outputs of the named heads, in the order of the batch.

        Every network and every copy counts the same. What an average of a head is, `Head.average` says.

        Raises:
            UserError: a head that cannot be averaged; images without the symmetries.
        """
        outputs: dict[str, Mapping[str, Tensor]] = tiled_outputs(self.first, batch, heads, self.tiles)
        averaged = tuple(name for name in heads if name in self.averaged)
        frames = () if self.augmentation is None else symmetries(self.augmentation, batch.image_size)[1:]
        if not averaged or (len(self.networks) == 1 and not frames):
            return outputs
        for name in averaged:
            self.first.config.heads[name].require_average(name, len(self.networks))
        found = {name: [outputs[name]] for name in averaged}
        for network in self.networks[1:]:
            for name, output in tiled_outputs(network, batch, averaged, self.tiles).items():
                found[name].append(output)
        for frame in frames:
            copy = moved_batch(batch, frame)
            for network in self.networks:
                for name, output in tiled_outputs(network, copy.batch, averaged, self.tiles).items():
                    found[name].append({key: values[copy.rows] for key, values in output.items()})
        return {**outputs, **{name: self.first.head(name).average(every) for name, every in found.items()}}
