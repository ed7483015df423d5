"""Events, readers, transforms, batches and the predictions file."""

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter

__all__ = ["Batch", "Event", "EventKey", "Prediction", "PredictionFile", "PredictionWriter", "collate"]
