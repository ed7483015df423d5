"""How much of the track/shower error of wire planes lies in pixels that particles of both kinds share.

The label of a pixel is that of the first class of its list with a tenth of the charge. Where the class with most of the
charge is of the other kind (`labels: {min_fraction: 0.5}` in the projection), the picture says one thing and the label
another. Predictions of the planes, and planes of the same events with that other label:

    python -m benchmarks.overlaps runs/planes/predictions.h5 "runs/planes_majority/events/?_*.h5"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.transforms import rows_of
from lartpc_sparse.metrics.segmentation import track_shower_members

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print pixels and errors, where both labels agree and where they do not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overlaps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("predictions", help="predictions.h5 of a semantic head, with truth")
    parser.add_argument("majority", nargs="+", help="planes of the same events in the same order, labelled by majority")
    parser.add_argument("--head", default="semantic")
    options = parser.parse_args(arguments)
    other = VoxelsConfig(files=tuple(options.majority)).build()
    counts = np.zeros((2, 2), dtype=np.int64)
    with PredictionFile(options.predictions) as predictions:
        if len(predictions) != len(other):
            raise SystemExit(f"{len(predictions)} images are predicted, {len(other)} have the other label")
        kinds = np.full(len(predictions.classes) + 1, -1)  # the last one serves the label -1
        for kind, members in enumerate(track_shower_members(predictions.classes)):
            kinds[members] = kind
        for index, prediction in enumerate(predictions):
            event = other.read(index)
            row = rows_of(prediction.coords, event.coords)
            label = kinds[prediction.truth["semantic"]]
            majority = kinds[np.where(row >= 0, event.labels["semantic"][row], -1)]
            said = kinds[prediction.columns[f"{options.head}/label"]]
            known = (label >= 0) & (majority >= 0) & (said >= 0)
            np.add.at(counts, ((label != majority)[known].astype(int), (label != said)[known].astype(int)), 1)
    table = Table("pixels", "share of all", "wrong track/shower", "share of the errors")
    for name, (right, wrong) in zip(("one kind leads", "label and most of the charge differ"), counts, strict=True):
        shares = (right + wrong) / counts.sum(), wrong / max(right + wrong, 1), wrong / max(counts[:, 1].sum(), 1)
        table.add_row(name, *(f"{share:.2%}" for share in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
