"""Training through Lightning."""

from lartpc_sparse.train.checkpoint import read_checkpoint
from lartpc_sparse.train.config import EarlyStopConfig, OptimizerConfig, Precision, ScheduleConfig, TrainConfig
from lartpc_sparse.train.fit import BEST, LAST, LOG, TrainingData, fit
from lartpc_sparse.train.module import CHECKPOINT_KEY, TrainingModule

__all__ = [
    "BEST",
    "CHECKPOINT_KEY",
    "LAST",
    "LOG",
    "EarlyStopConfig",
    "OptimizerConfig",
    "Precision",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingData",
    "TrainingModule",
    "fit",
    "read_checkpoint",
]
