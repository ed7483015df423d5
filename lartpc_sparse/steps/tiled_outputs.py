"""A network tile by tile: bounded memory on images of any size, and the same result as on the whole image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Int64
from torch import Tensor

from lartpc_sparse.config import TilesConfig
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.network import Network

__all__ = ["tiled_outputs"]


def tiled_outputs(
    network: Network, batch: Batch, heads: tuple[str, ...], tiles: TilesConfig | None
) -> dict[str, Mapping[str, Tensor]]:
    """Raw outputs of the heads on all voxels, computed on tiles with a halo around each.

    Voxels keep their coordinates, so levels and kernels are those of the whole image. A voxel whose surroundings as far
    as the network sees lie in its tile and halo gets the same output, up to rounding; attention over a whole event
    (CBAM) is over the tile instead.

    Args:
        network: in evaluation mode.
        batch: of events.
        heads: names.
        tiles: None: in one piece.
    """
    if tiles is None or batch.num_voxels == 0:
        return dict(network(batch, heads))
    event, tile = batch.batch_index(), torch.div(batch.coords, tiles.size, rounding_mode="floor")
    wanted = torch.unique(torch.cat([event[:, None], tile.to(event.dtype)], dim=1), dim=0)
    whole: dict[str, dict[str, Tensor]] = {name: {} for name in heads}
    for row in wanted:
        low = row[1:] * tiles.size
        near = (batch.coords >= low - tiles.halo) & (batch.coords < low + tiles.size + tiles.halo)
        rows = torch.nonzero((event == row[0]) & near.all(dim=1)).squeeze(1)
        inside = (tile[rows] == row[1:]).all(dim=1)
        for name, output in network(_part(batch, rows, int(row[0])), heads).items():
            for key, values in output.items():
                if key not in whole[name]:
                    whole[name][key] = values.new_empty((batch.num_voxels, *values.shape[1:]))
                whole[name][key][rows[inside]] = values[inside]
    return dict(whole)


def _part(batch: Batch, rows: Int64[Tensor, " K"], event: int) -> Batch:
    """Some voxels of one event as a batch of their own."""
    return dataclasses.replace(
        batch,
        coords=batch.coords[rows],
        feats=batch.feats[rows],
        energy=batch.energy[rows],
        offsets=torch.tensor([0, len(rows)], device=batch.offsets.device),
        labels={name: column[rows] for name, column in batch.labels.items()},
        keys=(batch.keys[event],),
        events=(),
    )
