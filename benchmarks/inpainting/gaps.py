"""In-gap scores of the network and of the baselines on slabs of several widths."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.inpainting.options import reader_of
from lartpc_sparse.config import PredictConfig
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.pipeline import DataConfig
from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.data.regions import SlabsConfig
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler, counts_for
from lartpc_sparse.data.single_particles import SingleParticles
from lartpc_sparse.data.symmetries import SymmetryConfig
from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.gap_view import MaskRegionsConfig
from lartpc_sparse.heads.inpaint_evaluator import InpaintEvaluationConfig
from lartpc_sparse.network import Network
from lartpc_sparse.sparse.engines import registry
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.predict_step import predict_batch
from lartpc_sparse.steps.prediction_data import PredictionDataset, Views, join_views
from lartpc_sparse.weights import describe_as_used, find_weights, load_weights

__all__ = ["measure_gaps", "measure_tracks"]


def measure_gaps(options: argparse.Namespace) -> dict[str, Any]:
    """Metrics of the inpainting head for each width; gap d of event i is the same in every run with one seed."""
    return _measure(options, reader_of(options))


def measure_tracks(options: argparse.Namespace) -> dict[str, Any]:
    """The same on every true track alone, so that all voxels are a track's."""
    return _measure(options, SingleParticles(reader_of(options)))


def _measure(options: argparse.Namespace, reader: Reader) -> dict[str, Any]:
    path = find_weights(options.weights)
    described = describe_as_used(path)
    model = described.model_config()
    name = model.masking_head
    if name is None:
        raise SystemExit(f"{options.weights} has no inpainting head")
    transforms = DataConfig.model_validate({"transforms": list(described.transforms)}).transform_list(training=False)
    engine = registry.choose_engine("auto", "cpu").engine
    copies = SymmetryConfig(symmetries="all", count=options.copies) if options.copies > 1 else None
    found = {}
    for width in options.widths:
        head = _head(model.heads[name], width, {"threshold": options.threshold, "fill": options.fill})
        network = Network(model.model_copy(update={"heads": {name: head}}), engine)
        load_weights(network, path)
        predictor = Predictor((network.eval(),), copies, (name,))
        evaluator = head.evaluator(name, reader.classes)
        for draw in range(options.draws):
            events = EventDataset(reader, transforms, seed=options.seed + draw)
            batch = BatchConfig(events=8)
            sampler = EventBatchSampler(counts_for(events, batch), batch, shuffle=False, seed=0)
            loader: DataLoader[Views] = DataLoader(
                PredictionDataset(events, head.inference_view(), options.seed + draw),
                batch_sampler=sampler,
                collate_fn=join_views,
            )
            for group in loader:
                with torch.inference_mode():
                    for prediction in predict_batch(predictor, group, PredictConfig()):
                        evaluator.update(prediction)
        found[str(width)] = evaluator.result()
    return found


def _head(head: object, width: int, settings: dict[str, Any]) -> InpaintConfig:
    assert isinstance(head, InpaintConfig)
    region = head.inference_region or head.region
    assert isinstance(region, MaskRegionsConfig), "the benchmark needs weights with mask_regions"
    slab = region.model_copy(update={"regions": (SlabsConfig(width=(width, width)),)})
    given = {name: value for name, value in settings.items() if value is not None}
    # evaluated in one way, whatever the weights were evaluated with in their own chain
    return head.model_copy(update={"inference_region": slab, "evaluate": InpaintEvaluationConfig(), **given})
