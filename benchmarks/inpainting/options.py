"""Options of the inpainting benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from lartpc_sparse.data.readers import ReaderConfig, SampleConfig, VoxelsConfig
from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.data.readers.columns import ColumnsConfig

__all__ = ["parse", "reader_of"]


def parse(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inpainting", description=description)
    parser.add_argument(
        "what", nargs="?", default="all", choices=["all", "gaps", "tracks", "ceiling", "broken", "candidates"]
    )
    parser.add_argument("--weights", default="lardrip3d-small", help="name, path or run with an inpainting head")
    parser.add_argument("--semantic", default="semantic3d-small", help="weights that classify voxels, for `broken`")
    parser.add_argument("--files", nargs="+", help="voxel files instead of the test events of the packaged sample")
    parser.add_argument("--columns", action="store_true", help="the files have flat columns")
    parser.add_argument("--limit", type=int, help="use the first events only")
    parser.add_argument("--widths", type=int, nargs="+", default=[5, 10, 20], help="of the slabs, voxels")
    parser.add_argument("--draws", type=int, default=3, help="gaps drawn for each event and width")
    parser.add_argument("--seed", type=int, default=20, help="of the gaps")
    parser.add_argument("--threshold", type=float, help="of the activation probability, instead of the weights' own")
    parser.add_argument("--copies", type=int, default=1, help="average over so many mirrored and turned copies")
    parser.add_argument("--fill", choices=["energy", "expected"], help="see heads.inpaint, instead of the weights' own")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/bench/inpainting"), help="folder of the JSON files")
    return parser.parse_args(arguments)


def reader_of(options: argparse.Namespace) -> Reader:
    """The events."""
    config: ReaderConfig = SampleConfig(split="test", limit=options.limit)
    if options.files:
        kind = ColumnsConfig if options.columns else VoxelsConfig
        config = kind(files=tuple(options.files), limit=options.limit)
    return config.build()
