"""Our engines as contestants."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.cases import CaseBatch
from benchmarks.contestant import Contestant, Unavailable
from benchmarks.network import CONFIG, build_network
from lartpc_sparse.sparse import Engine, Plan, SparseTensor

__all__ = ["ENGINES", "OurEngine"]

ENGINES: Mapping[str, tuple[str, str]] = {
    "torch": ("lartpc_sparse.sparse.engines.torch_engine", "TorchEngine"),
    "cpu": ("lartpc_sparse.sparse.engines.cpu_engine", "CpuEngine"),
    "triton": ("lartpc_sparse.sparse.engines.triton_engine", "TritonEngine"),
}
"""Module and class of every engine by name."""

_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def _build_engine(name: str, device: torch.device) -> Engine:
    module_name, class_name = ENGINES[name]
    try:
        module = importlib.import_module(module_name)
        reason = getattr(module, "reason_unavailable", None)
        why = reason(device) if reason is not None else None
        if why:
            raise Unavailable(why)
        engine: Engine = getattr(module, class_name)()
    except ImportError as error:
        raise Unavailable(f"{error}; install the package with a C++ compiler at hand (make env)") from error
    return engine


class OurEngine(Contestant):
    """`lartpc_sparse.backbone.UResNet` on one engine at one precision; bf16 and fp16 by autocast."""

    def __init__(self, engine: str, precision: str, device: str, dim: int) -> None:
        self.device = torch.device(device)
        self.dtype = _PRECISIONS[precision]
        self.engine = _build_engine(engine, self.device)
        self.network = build_network(dim).to(self.device)

    def load(self, batch: CaseBatch) -> None:
        """See `Contestant.load`."""
        self.coords = batch.coords.to(self.device)
        self.offsets = batch.offsets.to(self.device)
        self.feats = batch.feats.to(self.device)

    def forward(self) -> Tensor:
        """See `Contestant.forward`."""
        x = SparseTensor.build(self.coords, self.feats, self.offsets, self.engine)
        if self.dtype is None:
            return self._features(x)
        with torch.autocast(self.device.type, self.dtype):
            return self._features(x)

    def _features(self, x: SparseTensor) -> Tensor:
        result: Tensor = self.network(x)["out"].feats
        return result

    def inference(self) -> Tensor:
        """See `Contestant.inference`."""
        if self.network.training:  # the call drops the fused convolutions, which would be made again
            self.network.eval()
        with torch.inference_mode():
            return self.forward()

    def gradients(self) -> dict[str, Tensor]:
        """See `Contestant.gradients`."""
        weights = {name: weight for name, weight in self.network.named_parameters() if weight.ndim > 1}
        return {name: weight.grad for name, weight in weights.items() if weight.grad is not None}

    def build_plan(self) -> Plan:
        """All levels and all kernel maps that the network asks for."""
        plan = Plan.build(self.coords, self.offsets, self.engine)
        ones, twos = (1,) * plan.dim, (2,) * plan.dim
        stride = ones
        for level in range(CONFIG.depth + 1):
            plan.submanifold_map(stride, (CONFIG.kernel_size,) * plan.dim)
            if level < CONFIG.depth:
                plan.strided_map(stride, twos, twos)
                stride = plan.coarser(stride, twos).stride
        return plan

    def synchronise(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def settings(self) -> dict[str, str]:
        """Version of torch and the device."""
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return {"torch": torch.__version__, "device": device}
