"""Which engine is chosen where, and what people are told. Devices that are not here are made believe."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from typing import get_args

import pytest
import torch

from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import Engine, EngineName, TorchEngine, choose_engine
from lartpc_sparse.sparse.engines import emulates_bf16
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine
from lartpc_sparse.sparse.engines.cpu_engine import reason_unavailable as reason_of_cpu
from lartpc_sparse.sparse.engines.minkowski_engine import MinkowskiEngine
from lartpc_sparse.sparse.engines.triton_engine import TritonEngine

MODULES = {"cpu": "cpu_engine", "triton": "triton_engine", "minkowski": "minkowski_engine", "dense": "dense_engine"}

needs_kernels = pytest.mark.skipif(reason_of_cpu("cpu") is not None, reason=str(reason_of_cpu("cpu")))


def _engines(monkeypatch: pytest.MonkeyPatch, **reasons: str | None) -> None:
    """Make the named engines able to run (None) or not (why)."""
    for name, reason in reasons.items():
        module = importlib.import_module(f"lartpc_sparse.sparse.engines.{MODULES[name]}")
        monkeypatch.setattr(module, "reason_unavailable", lambda device, reason=reason: reason)


def _gpu(monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: name)


def _instruction_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("lartpc_sparse.sparse.engines.registry._instruction_set", lambda: name)


@needs_kernels
def test_auto_on_the_cpu_is_the_cpu_engine() -> None:
    choice = choose_engine("auto", "cpu")
    assert choice.engine == CpuEngine()
    assert re.fullmatch(r"engine cpu: C\+\+ kernels, (avx512_bf16|avx512|avx2|portable|neon)", choice.reason)


def test_auto_without_kernels_is_the_torch_engine_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    library = importlib.import_module("lartpc_sparse.sparse.native.library")
    monkeypatch.setattr(library, "_find", lambda: None)
    library.missing_reason.cache_clear()
    try:
        choice = choose_engine("auto", "cpu")
        with pytest.raises(UserError, match=r"engine cpu cannot run here: .*apt install g\+\+"):
            choose_engine("cpu", "cpu")
    finally:
        library.missing_reason.cache_clear()
    assert choice.engine == TorchEngine()
    assert choice.reason.startswith("engine torch: instead of cpu: the C++ kernels were not built")
    assert "apt install g++" in choice.reason


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
def test_auto_on_a_gpu_with_tensor_cores_for_triton(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]
) -> None:
    _engines(monkeypatch, triton=None)
    _gpu(monkeypatch, "NVIDIA A100", capability)
    choice = choose_engine("auto", "cuda")
    assert choice.engine == TritonEngine()
    assert choice.reason == "engine triton: Triton kernels on NVIDIA A100"


@pytest.mark.parametrize("capability", [(7, 0), (7, 5)])
def test_auto_on_an_older_gpu_is_the_torch_engine_and_names_the_precision(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]
) -> None:
    _engines(monkeypatch, triton="the answer for this GPU comes before the search for Triton")
    _gpu(monkeypatch, "Tesla V100", capability)
    choice = choose_engine("auto", "cuda")
    assert choice.engine == TorchEngine()
    assert choice.reason == (
        f"engine torch: Tesla V100 has compute capability 7.{capability[1]}, below the 8.0 of the triton engine; "
        "kernel maps on the device and cuBLAS, whose tensor cores need precision: 16"
    )


def test_auto_on_a_gpu_without_triton_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    availability = importlib.import_module("lartpc_sparse.sparse.engines.triton_engine.availability")
    monkeypatch.setattr(availability, "_has_triton", lambda: False)
    _gpu(monkeypatch, "NVIDIA A100", (8, 0))
    choice = choose_engine("auto", "cuda")
    assert choice.engine == TorchEngine()
    assert choice.reason.startswith("engine torch: instead of triton: ")
    assert '"lartpc-sparse[triton]"' in choice.reason


def test_auto_never_takes_minkowski(monkeypatch: pytest.MonkeyPatch) -> None:
    _engines(monkeypatch, minkowski=None, cpu="no kernels", triton="no Triton")
    _gpu(monkeypatch, "NVIDIA A100", (8, 0))
    assert {choose_engine("auto", device).engine for device in ("cpu", "cuda")} == {TorchEngine()}


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_the_torch_engine_runs_on_every_device(device: str) -> None:
    choice = choose_engine("torch", torch.device(device))
    assert choice.engine == TorchEngine()
    assert choice.reason.startswith("engine torch: ")


@pytest.mark.parametrize(
    ("name", "expected"), [("cpu", CpuEngine()), ("triton", TritonEngine()), ("minkowski", MinkowskiEngine())]
)
def test_a_named_engine_runs_or_is_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, name: EngineName, expected: Engine
) -> None:
    _instruction_set(monkeypatch, "avx2")
    _engines(monkeypatch, **{name: None})
    choice = choose_engine(name, "cpu")
    assert choice.engine == expected
    assert choice.engine.name == name
    assert choice.reason.startswith(f"engine {name}: ")
    _engines(monkeypatch, **{name: "the moon is full; wait"})
    with pytest.raises(UserError, match=f"^engine {name} cannot run here: the moon is full; wait; engine: auto"):
        choose_engine(name, "cpu")


def test_every_name_has_an_engine_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _instruction_set(monkeypatch, "avx2")
    _engines(monkeypatch, cpu=None, triton=None, minkowski=None)
    names = [name for name in get_args(EngineName) if name != "auto"]
    assert [choose_engine(name, "cpu").engine.name for name in names] == names
    assert all(isinstance(choose_engine(name, "cpu").engine, Engine) for name in names)


def test_engines_of_the_other_device_are_refused() -> None:
    with pytest.raises(UserError, match="the cpu engine runs on the CPU, not on cuda"):
        choose_engine("cpu", "cuda")
    with pytest.raises(UserError, match="the minkowski engine runs on the CPU only"):
        choose_engine("minkowski", "cuda")


@pytest.mark.parametrize(("instruction_set", "emulated"), [("avx512_bf16", False), ("avx512", True), ("avx2", True)])
def test_bf16_is_native_with_its_instructions_only(
    monkeypatch: pytest.MonkeyPatch, instruction_set: str, emulated: bool
) -> None:
    _instruction_set(monkeypatch, instruction_set)
    assert emulates_bf16(CpuEngine()) is emulated
    assert not emulates_bf16(TorchEngine())


def _run(code: str, **environment: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


@needs_kernels
def test_an_instruction_set_that_is_not_to_be_had_is_refused_by_name() -> None:
    code = (
        "from lartpc_sparse.schema import UserError; from lartpc_sparse.sparse import choose_engine\n"
        "try: choose_engine('auto', 'cpu')\n"
        "except UserError as error: print(error)"
    )
    answer = _run(code, LARTPC_SPARSE_ISA="avx1024")
    assert "'avx1024'" in answer
    assert "portable" in answer
    code = "from lartpc_sparse.sparse import choose_engine; print(choose_engine('cpu', 'cpu').reason)"
    assert _run(code, LARTPC_SPARSE_ISA="portable") == "engine cpu: C++ kernels, portable"


def test_nothing_is_imported_before_an_engine_is_asked_for() -> None:
    here = "lartpc_sparse.sparse."
    watched = ["triton", "MinkowskiEngine", f"{here}native.library", f"{here}engines.triton_engine"]
    code = (
        "import torch, sys; before = set(sys.modules); import lartpc_sparse.sparse\n"
        f"print([name for name in {watched} if name in sys.modules and name not in before])"
    )
    assert _run(code) == "[]"
