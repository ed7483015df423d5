"""Every Triton kernel compiled for sm_80 and sm_90 without a GPU: tensor cores used, loads overlapped, no spills."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig, TileProblem

triton = pytest.importorskip("triton")

import triton.language as tl  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from lartpc_sparse.sparse.engines.triton_engine import kernels  # noqa: E402

NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
TENSOR_CORES = [(torch.float16, "ieee"), (torch.bfloat16, "ieee"), (torch.float32, "tf32")]
OPERATIONS = ["forward", "data gradient", "weight gradient"]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def compile_kernel(
    kernel: Any, types: dict[str, str], constants: dict[str, Any], capability: int, tiles: TileConfig, uneven: set[str]
) -> Any:
    function = triton.jit(kernel)
    signature = {name: "constexpr" if name in constants else types[name] for name in function.arg_names}
    even = [n for n, name in enumerate(function.arg_names) if name not in constants and name not in uneven]
    source = ASTSource(function, signature, constants, {(n,): [["tt.divisibility", 16]] for n in even})
    options = {"num_warps": tiles.num_warps, "num_stages": tiles.num_stages}
    return triton.compile(source, GPUTarget("cuda", capability, 32), options)


def compile_problem(problem: TileProblem, capability: int, tiles: TileConfig | None = None) -> Any:
    tiles = tiles or problem.default()
    number = f"*{NAMES[problem.dtype]}"
    wide = problem.dtype == torch.float64
    constants = {
        "PRECISION": problem.precision,
        "SUM": tl.float64 if wide else tl.float32,
        "BLOCK_M": tiles.block_m,
        "BLOCK_N": tiles.block_n,
        "BLOCK_K": tiles.block_k,
    }
    # What Triton's launcher finds out about the arguments: those that 16 divides, and those that are one.
    constants |= {name: 1 for name in ("c_in", "c_out") if getattr(problem, name) == 1}
    uneven = {name for name in ("c_in", "c_out") if getattr(problem, name) % 16} | {"kernel_volume"}
    if problem.name == "weight gradient":
        types = dict.fromkeys(("in_index", "out_index", "chunk_start", "chunk_stop"), "*i64")
        types |= {"feats": number, "grad": number, "partial": "*fp64" if wide else "*fp32"}
        types |= dict.fromkeys(("c_in", "c_out"), "i32")
        return compile_kernel(kernels.pair_outer_products, types, constants, capability, tiles, uneven)
    constants["BLOCKS_K"] = -(-problem.c_in // tiles.block_k)
    constants["REVERSED"] = problem.name == "data gradient"
    contiguous = "weight_stride_out" if problem.name == "forward" else "weight_stride_in"
    constants[contiguous] = 1
    types = dict.fromkeys(("feats", "weight", "out"), number)
    types |= dict.fromkeys(("in_row", "out_row", "tile", "tile_slots", "tile_count"), "*i32")
    types |= dict.fromkeys(("kernel_volume", "padded", "c_in", "c_out"), "i32")
    types |= dict.fromkeys(("weight_stride_slot", "weight_stride_in", "weight_stride_out"), "i32")
    return compile_kernel(kernels.gather_gemm, types, constants, capability, tiles, uneven)


def problem_of(name: str, dtype: torch.dtype, precision: str, channels: tuple[int, int] = (64, 64)) -> TileProblem:
    return TileProblem(name, 100_000, *channels, 27, dtype, precision)


def spilled_bytes(ptx: str, capability: int, folder: Path) -> int:
    """Bytes of registers that ptxas, as shipped with Triton, keeps in local memory; it writes the cubin too."""
    source, cubin = folder / "kernel.ptx", folder / "kernel.cubin"
    source.write_text(ptx)
    architecture = f"sm_{capability}a" if capability >= 90 else f"sm_{capability}"
    ptxas = triton.knobs.nvidia.ptxas.path
    done = subprocess.run(
        [ptxas, "-v", f"--gpu-name={architecture}", str(source), "-o", str(cubin)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert cubin.read_bytes().startswith(b"\x7fELF")
    assert re.search(r"Used \d+ registers", done.stderr), done.stderr
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", done.stderr)
    assert len(spills) == 2, done.stderr
    return sum(map(int, spills))


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("dtype", "precision"), TENSOR_CORES, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_tensor_cores_are_used(name: str, dtype: torch.dtype, precision: str, capability: int, tmp_path: Path) -> None:
    kernel = compile_problem(problem_of(name, dtype, precision), capability)
    ptx = kernel.asm["ptx"]
    operand = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "tf32"}[dtype]
    instruction = r"wgmma\.mma_async" if capability == 90 and name != "weight gradient" else r"(?:mma|wgmma\.mma_async)"
    assert re.search(rf"{instruction}\.sync\S*\.f32\.{operand}\.{operand}", ptx)
    assert "cp.async" in ptx, "loads are not overlapped with products"
    assert kernel.asm["cubin"].startswith(b"\x7fELF")
    assert spilled_bytes(ptx, capability, tmp_path) == 0


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_exact_products_compile_to_their_own_format(
    name: str, dtype: torch.dtype, capability: int, tmp_path: Path
) -> None:
    ptx = compile_problem(problem_of(name, dtype, "ieee", (32, 32)), capability).asm["ptx"]
    assert "tf32" not in ptx
    assert re.search(r"fma\.rn\.f32" if dtype == torch.float32 else r"(?:mma|fma)\S*\.f64", ptx)
    assert spilled_bytes(ptx, capability, tmp_path) == 0


@pytest.mark.parametrize("channels", [(1, 5), (33, 33)], ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_odd_numbers_of_channels_keep_the_tensor_cores(name: str, channels: tuple[int, int]) -> None:
    assert "mma.sync" in compile_problem(problem_of(name, torch.float16, "ieee", channels), 80).asm["ptx"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_candidate_fits_the_smallest_gpu(name: str) -> None:
    problem = problem_of(name, torch.float32, "tf32", (64, 160))
    deepest = max(tiles.num_stages for tiles in problem.candidates())
    for tiles in [tiles for tiles in problem.candidates() if tiles.num_stages == deepest]:
        # 99 KiB: the shared memory of a block on sm_86 and sm_89, the least of all from sm_80 on.
        assert compile_problem(problem, 80, tiles).metadata.shared <= 99 * 1024


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_the_sum_over_chunks_compiles(dtype: torch.dtype, capability: int) -> None:
    wide = dtype == torch.float64
    types = {"partial": "*fp64" if wide else "*fp32", "total": f"*{NAMES[dtype]}", "of_slot": "*i64", "size": "i32"}
    constants = {"SUM": tl.float64 if wide else tl.float32, "BLOCK": 128}
    tiles = TileConfig(16, 16, 16, num_warps=4, num_stages=3)
    assert "atom" not in compile_kernel(kernels.sum_chunks, types, constants, capability, tiles, set()).asm["ptx"]
