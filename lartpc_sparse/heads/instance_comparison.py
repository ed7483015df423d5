"""A head that finds instances against its baselines, on the same events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lartpc_sparse.heads.instance_evaluation import InstanceEvaluationConfig
from lartpc_sparse.heads.instance_scores import InstanceScores
from lartpc_sparse.heads.semantic_curves import LEVEL
from lartpc_sparse.metrics.ratio_bootstrap import Ratios, resampled_ratios, with_interval

__all__ = ["compare_methods"]


def compare_methods(
    classes: Sequence[str], scores: Mapping[tuple[str, str], InstanceScores], config: InstanceEvaluationConfig
) -> dict[str, Any]:
    """Every score of every method with its interval, and the network's minus each baseline's.

    Args:
        classes: of the head.
        scores: by semantics (`true`, `predicted`) and method (`network` and the baselines).
        config: of the resampling.

    Returns:
        By semantics, class and score (`InstanceScores.names`): `methods`, by method, and `network_minus`, by baseline,
        each `{"value", "low", "high"}` with the limits of the 68 % interval over resampled events.
    """
    result: dict[str, Any] = {}
    for source in dict.fromkeys(key[0] for key in scores):
        own = {method: found for (semantics, method), found in scores.items() if semantics == source}
        per_class = {}
        for number, name in enumerate(classes):
            ratios = {
                method: resampled_ratios(*found.by_event(number), config.bootstrap, config.seed)
                for method, found in own.items()
                if found.events[number]
            }
            if ratios:
                per_class[name] = {
                    score: _compared(ratios, column) for column, score in enumerate(InstanceScores.names())
                }
        if per_class:
            result[source] = per_class
    return result


def _compared(ratios: Mapping[str, Ratios], column: int) -> dict[str, Any]:
    values = {method: (value[column], sets[:, column]) for method, (value, sets) in ratios.items()}
    network = values.get("network")
    return {
        "methods": {method: with_interval(float(value), sets, LEVEL) for method, (value, sets) in values.items()},
        "network_minus": {}
        if network is None
        else {
            method: with_interval(float(network[0] - value), network[1] - sets, LEVEL)
            for method, (value, sets) in values.items()
            if method != "network"
        },
    }
