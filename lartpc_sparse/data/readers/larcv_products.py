"""Which products of a larcv file are meant: by name, or the only one that fits."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from lartpc_sparse.data.larcv_tables import COLUMN_PREFIX
from lartpc_sparse.schema import UserError

__all__ = ["PRODUCT_KINDS", "Image", "Products", "choose_products"]

Image = Literal["auto", "sparse3d", "sparse2d", "image2d", "cluster3d"]
"""The kind of product that holds the charge; cluster3d: the union of its voxel sets."""

PRODUCT_KINDS = ("sparse3d", "sparse2d", "image2d", "cluster3d", "cluster2d", "particle")

_IMAGES: tuple[Image, ...] = ("sparse3d", "sparse2d", "image2d", "cluster3d")
_CLUSTERS = {"sparse3d": "cluster3d", "sparse2d": "cluster2d", "image2d": None, "cluster3d": "cluster3d"}
_SEMANTIC = re.compile(r"semantic|fivetypes|segment|ssnet|label|shape|class")
_AUXILIARY = re.compile(r"index|leakage|chi2|hits?_|occupancy|ghost|particle_|cluster_")
"""Known products that are neither charge nor classes."""


@dataclass(frozen=True)
class Products:
    """Full names (`sparse3d_pcluster`) of the chosen products; None: not read."""

    energy: str
    semantic: str | None
    clusters: str | None
    particles: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The products that are read."""
        return tuple(name for name in (self.energy, self.semantic, self.clusters, self.particles) if name)


def choose_products(
    available: Collection[str],
    path: str,
    image: Image,
    *,
    energy: str,
    semantic: str | None,
    clusters: str | None,
    particles: str | None,
) -> Products:
    """The products that the configuration means.

    A product is named with or without its kind (`sparse3d_data` or `data`). `auto` is the only product of the kind
    that fits: for the charge one whose name does not tell of classes or of something else, for the classes one whose
    name does (`fivetypes`, `semantics`, `segment`, ...). The `image` auto is sparse3d if the file holds one, else the
    only kind of image that it holds; `energy` named with its kind says it.

    Raises:
        UserError: a named product that the file does not have; nothing or more than one thing fits `auto`. The
            message lists what the file holds.
    """
    if image == "auto":
        image = _image_of(available, path, energy)
    class_kind = "sparse3d" if image == "cluster3d" else image
    classes = [name for name in _of_kind(available, class_kind) if _SEMANTIC.search(name.removeprefix(class_kind))]
    charge = [name for name in _of_kind(available, image) if name not in classes]
    plain = [name for name in charge if not _AUXILIARY.search(name.removeprefix(image + "_"))] or charge
    found = _Chooser(available, path)
    cluster_kind = _CLUSTERS[image]
    if cluster_kind is None and clusters not in (None, "auto"):
        raise UserError(f"{path}: `clusters: {clusters}`, but {image} images have no clusters; set `clusters: null`")
    chosen = found.choose("energy", image, energy, plain)
    if chosen is None:
        raise UserError(f"{path} holds no {image} product for `energy`; {found.holds}. Set `image` to what it holds")
    fitting = [chosen] if image == "cluster3d" else None
    return Products(
        energy=chosen,
        semantic=found.choose("semantic", class_kind, semantic, [name for name in classes if name != chosen]),
        clusters=None if cluster_kind is None else found.choose("clusters", cluster_kind, clusters, fitting),
        particles=found.choose("particles", "particle", particles),
    )


def _image_of(available: Collection[str], path: str, energy: str) -> Image:
    """The kind of image of the charge: sparse3d if there is one, else the only kind.

    A product of classes is no image of its own, unless there is nothing else.
    """
    for kind in _IMAGES:
        if energy.startswith(kind + "_"):
            return kind
    held = [kind for kind in _IMAGES if _of_kind(available, kind)]
    charged = [
        kind
        for kind in held
        if any(not _SEMANTIC.search(name.removeprefix(kind)) for name in _of_kind(available, kind))
    ] or held
    if "sparse3d" in charged:
        return "sparse3d"
    if len(charged) == 1:
        return charged[0]
    holds = _Chooser(available, path).holds
    if not charged:
        raise UserError(f"{path} holds no product for `energy` ({', '.join(_IMAGES)}); {holds}")
    raise UserError(
        f"{path} holds images of {len(charged)} kinds; set `image` to {' or '.join(charged)}. In all {holds}"
    )


def _of_kind(available: Collection[str], kind: str) -> list[str]:
    """Products of a kind, without the label columns of `LarcvFileWriter`."""
    return [
        name for name in available if name.startswith(kind + "_") and not name.startswith(f"{kind}_{COLUMN_PREFIX}")
    ]


class _Chooser:
    def __init__(self, available: Collection[str], path: str) -> None:
        self._available, self._path = sorted(available), path

    @property
    def holds(self) -> str:
        return "the file holds " + (", ".join(self._available) or "no larcv products")

    def choose(self, role: str, kind: str, wanted: str | None, fitting: list[str] | None = None) -> str | None:
        """The full name of the product for one role."""
        if wanted is None:
            return None
        if wanted != "auto":
            name = wanted if wanted.startswith(kind + "_") else f"{kind}_{wanted}"
            if name not in self._available:
                raise UserError(f"{self._path} has no product {name} (`{role}: {wanted}`); {self.holds}")
            return name
        if fitting is None:
            fitting = [name for name in self._available if name.startswith(kind + "_")]
        if len(fitting) > 1:
            raise UserError(
                f"{self._path}: {len(fitting)} products fit `{role}`: {', '.join(sorted(fitting))}; name one of them "
                f"(`{role}: {fitting[0].removeprefix(kind + '_')}`){'' if role == 'energy' else ' or none (null)'}. "
                f"In all {self.holds}"
            )
        return fitting[0] if fitting else None
