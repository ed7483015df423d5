"""The detector-variation table (arXiv:2012.08513, section V C) as a function."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lartpc_sparse.compare.counts import QUANTITIES, Side, count_pair, make_side
from lartpc_sparse.compare.samples import open_samples, read_together, sample_names, semantic_head
from lartpc_sparse.compare.statistics import Estimate, estimates
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile
from lartpc_sparse.heads.decisions import DecisionConfig
from lartpc_sparse.metrics.proportions import LEVEL
from lartpc_sparse.progress import track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError

__all__ = ["Comparison", "Variation", "compare_predictions"]


@dataclass(frozen=True)
class Variation:
    """One variation against the nominal sample.

    Attributes:
        name: of the variation.
        file: its predictions.
        counts: sums over the events, by the names of `PairCounts`.
        estimates: by the names of `TITLES`.
    """

    name: str
    file: str
    counts: dict[str, int]
    estimates: dict[str, Estimate]


@dataclass(frozen=True)
class Comparison:
    """The nominal sample and its variations.

    Attributes:
        nominal: predictions of the nominal sample.
        head: name of the semantic head.
        decisions: the cuts.
        events: compared ones.
        skipped: events that were skipped in at least one of the samples, and are not compared.
        matched_by: how clusters were matched: "true instance" or "common voxels".
        resamples: of the bootstrap.
        variations: in the order given.
    """

    nominal: str
    head: str
    decisions: DecisionConfig
    events: int
    skipped: int
    matched_by: str
    resamples: int
    variations: tuple[Variation, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; undefined ones are None."""
        return {
            **provenance(),
            "nominal": self.nominal,
            "head": self.head,
            "decisions": self.decisions.model_dump(mode="json"),
            "events": self.events,
            "skipped_events": self.skipped,
            "clusters_matched_by": self.matched_by,
            "interval": {"level": LEVEL, "resamples": self.resamples},
            "variations": [asdict(variation) for variation in self.variations],
        }


def compare_predictions(
    nominal: Path,
    variations: Sequence[Path],
    names: Sequence[str] | None = None,
    *,
    head: str | None = None,
    decisions: DecisionConfig | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare predictions of a nominal sample with those of variations of the same events, event by event.

    Voxels are compared where both samples have them; accuracies are those of each whole sample; clusters are matched
    by true instance, or by common voxels where there is no truth.

    Args:
        nominal: predictions of the nominal sample.
        variations: predictions of the others, with the same events in the same order.
        names: of the variations; default the names of their folders.
        head: name of the semantic head; default the only one.
        decisions: cuts; default those of the head in the nominal file, or the published ones when it has none.
        resamples: of the bootstrap over events.
        seed: of the bootstrap.

    Raises:
        UserError: files that cannot be read or compared, or have no event in common.
    """
    called = sample_names(variations, names)
    if not called:
        raise UserError("there is no variation to compare the nominal sample with")
    with ExitStack() as stack:
        files = open_samples(stack, [nominal, *variations])
        name, config = semantic_head(files[0], head)
        for file in files[1:]:
            if semantic_head(file, name)[1].classes != config.classes:
                raise UserError(f"{file.path}: head {name} has other classes than in {nominal}")
        cuts = decisions or config.decisions or DecisionConfig()
        try:
            cuts.check(config.classes)
        except ValueError as error:
            raise UserError(f"{nominal}: {error}") from error
        counts, skipped, truth = _count(files, name, config.classes, cuts)
    if not counts.shape[1]:
        raise UserError(f"no event of {nominal} was predicted in all samples ({skipped} skipped)")
    return Comparison(
        nominal=str(nominal),
        head=name,
        decisions=cuts,
        events=counts.shape[1],
        skipped=skipped,
        matched_by="true instance" if truth else "common voxels",
        resamples=resamples,
        variations=tuple(
            Variation(
                variation,
                str(path),
                dict(zip(QUANTITIES, rows.sum(axis=0).tolist(), strict=True)),
                estimates(rows, resamples=resamples, seed=seed),
            )
            for variation, path, rows in zip(called, variations, counts, strict=True)
        ),
    )


def _count(
    files: Sequence[PredictionFile], head: str, classes: tuple[str, ...], cuts: DecisionConfig
) -> tuple[np.ndarray, int, bool]:
    """Counts (variations, events, quantities), number of skipped events, and whether there are true instances."""
    rows: list[np.ndarray] = []
    skipped, truth = 0, False
    image_size, true_classes = files[0].image_size, files[0].classes

    def side(event: Prediction) -> Side:
        return make_side(event, head, classes, true_classes, cuts)

    with track("compare", total=len(files[0]), unit="events") as bar:
        for events in read_together(files):
            bar.advance(1)
            if any(event.status != "ok" for event in events):
                skipped += 1
                continue
            nominal = side(events[0])
            truth = truth or all("instance" in event.truth for event in events)
            rows.append(np.stack([count_pair(nominal, side(event), image_size).row() for event in events[1:]]))
    shape = (len(files) - 1, len(rows), len(QUANTITIES))
    return np.array(rows, dtype=np.int64).reshape(len(rows), *shape[::2]).transpose(1, 0, 2), skipped, truth
