"""The steps of a chain: simulate, train, tune, inpaint, predict, evaluate."""

from lartpc_sparse.steps.evaluate_step import run_evaluation
from lartpc_sparse.steps.fill_step import run_filling
from lartpc_sparse.steps.load_network import load_network
from lartpc_sparse.steps.predict_step import run_prediction
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.simulate_step import run_simulation
from lartpc_sparse.steps.train_step import run_training
from lartpc_sparse.steps.tune_step import run_tuning

__all__ = [
    "RunFolder",
    "load_network",
    "run_evaluation",
    "run_filling",
    "run_prediction",
    "run_simulation",
    "run_training",
    "run_tuning",
]
