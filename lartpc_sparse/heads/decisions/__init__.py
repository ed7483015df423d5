"""Decisions on the semantic output: track or shower, shower-like clusters, electron or muon events."""

from lartpc_sparse.heads.decisions.config import DecisionConfig
from lartpc_sparse.heads.decisions.decide import ClusterTable, EventDecision
from lartpc_sparse.heads.decisions.output import with_decisions
from lartpc_sparse.heads.decisions.scores import DecisionScores

__all__ = ["ClusterTable", "DecisionConfig", "DecisionScores", "EventDecision", "with_decisions"]
