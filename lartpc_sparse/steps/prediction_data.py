"""Events for prediction: as they are in the file, as the network sees them, and with masked regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.utils.data import Dataset

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason, event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import Transform

__all__ = ["PredictionBatch", "PredictionDataset", "Views", "join_views"]

_VIEW_POSITION = 1_000_000
"""Place of the view in the chain of random generators: far behind all transforms."""


@dataclass(frozen=True)
class Views:
    """One event in up to three forms.

    Attributes:
        raw: as in the file.
        plain: transformed.
        masked: transformed, with masked regions; None when no head asks for it.
        bad: why the event was skipped, None for a good one.
    """

    raw: Event
    plain: Event
    masked: Event | None
    bad: str | None


class PredictionDataset(Dataset[Views]):
    """The views of event (epoch, index); `epoch` is 0 in prediction, so masks are the same in every run."""

    def __init__(self, events: EventDataset, view: Transform | None, seed: int) -> None:
        self.events = events
        self.view = view
        self.seed = seed

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, where: tuple[int, int]) -> Views:
        raw, plain = self.events.read_pair(where)
        masked = None
        if self.view is not None:
            masked = self.view(plain, event_rng(self.seed, *where, _VIEW_POSITION))
        return Views(raw, plain, masked, bad_event_reason(plain))


@dataclass(frozen=True)
class PredictionBatch:
    """Events of one forward pass in their three forms."""

    events: tuple[Views, ...]
    plain: Batch
    masked: Batch | None


def join_views(events: Sequence[Views]) -> PredictionBatch:
    """Collate each form."""
    masked = [views.masked for views in events if views.masked is not None]
    return PredictionBatch(
        tuple(events), collate([views.plain for views in events]), collate(masked) if masked else None
    )
