"""Step `evaluate`: predictions against truth, into metrics.json."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.progress import track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.run_folder import RunFolder, write_json

__all__ = ["run_evaluation"]


def run_evaluation(config: ChainConfig, folder: RunFolder) -> dict[str, Any]:
    """Metrics of every head over all predicted events; returns what it writes.

    Raises:
        UserError: no predictions, or predictions without any truth.
    """
    assert config.model is not None
    with PredictionFile(folder.predictions) as predictions:
        evaluators = {name: head.evaluator(name, predictions.classes) for name, head in config.model.heads.items()}
        for name, head in config.model.heads.items():
            if isinstance(head, SemanticConfig):
                for evaluator in evaluators.values():
                    evaluator.use_semantics(name, head.classes)
        if config.data.test is not None and any(head.reports_network_time for head in config.model.heads.values()):
            reader = config.data.test.build()
            for evaluator in evaluators.values():
                evaluator.use_events(reader)
        skipped = voxels = with_truth = 0
        with track("evaluate", total=len(predictions), unit="events") as bar:
            for prediction in predictions:
                bar.advance(1)
                if prediction.status != "ok":
                    skipped += 1
                    continue
                voxels += len(prediction)
                with_truth += bool(prediction.truth)
                for evaluator in evaluators.values():
                    evaluator.update(prediction)
        if not with_truth:
            raise UserError(
                f"no event of {folder.predictions} has a truth to compare with; leave out the section evaluate"
            )
        metrics = {
            **provenance(),
            "run": config.run.name,
            "events": len(predictions),
            "skipped_events": skipped,
            "voxels": voxels,
            **{name: predictions.attributes.get(name) for name in ("checkpoint", "weights", "weights_sha256")},
            "heads": {name: evaluator.result() for name, evaluator in evaluators.items()},
        }
    write_json(folder.metrics, metrics)
    return metrics
