"""Training through Lightning."""

from lartpc_sparse.train.config import EarlyStopConfig, OptimizerConfig, Precision, ScheduleConfig, TrainConfig
from lartpc_sparse.train.fit import LOG, TrainingData, fit
from lartpc_sparse.train.module import TrainingModule

__all__ = [
    "LOG",
    "EarlyStopConfig",
    "OptimizerConfig",
    "Precision",
    "ScheduleConfig",
    "TrainConfig",
    "TrainingData",
    "TrainingModule",
    "fit",
]
