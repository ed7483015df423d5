"""From deposited energy to electrons: recombination by the density of ionisation."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Int, Num
from pydantic import Field

from lartpc_sparse.data.event import Event
from lartpc_sparse.schema import BadEventError, Config, UserError

__all__ = ["ChargeConfig", "electrons", "local_dedx", "recombination"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_NEIGHBOURS = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])[14:]
"""Half of the 26 neighbours of a voxel: each pair of voxels is met once."""


class ChargeConfig(Config):
    """Ionisation electrons of a deposit, E / W * R(dE/dx)."""

    model: Literal["modified_box", "birks", "fixed"] = Field(
        default="modified_box",
        description="modified box (ArgoNeuT, arXiv:1306.1712), Birks (ICARUS, NIM A 523 (2004) 275), or a fixed R",
    )
    work_ev: Positive = Field(default=23.6, description="energy for one electron-ion pair in liquid argon, eV")
    density_g_cm3: Positive = Field(default=1.396, description="of liquid argon, g/cm3")
    box_alpha: Positive = Field(default=0.93, description="alpha of the modified box")
    box_beta: Positive = Field(default=0.212, description="beta of the modified box, (kV/cm) (g/cm2) / MeV")
    birks_a: Positive = Field(default=0.8, description="A of Birks' law")
    birks_k: Positive = Field(default=0.0486, description="k of Birks' law, (kV/cm) (g/cm2) / MeV")
    fixed: float = Field(default=0.64, gt=0, le=1, description="R of the model `fixed`")
    dx_label: str | None = Field(
        default=None,
        description="label column with the path length in a voxel, mm; none: dE/dx from a voxel and its neighbours",
    )
    min_mev_cm: Positive = Field(
        default=1.7, description="lowest dE/dx, the most probable one of a minimum-ionising particle, MeV/cm"
    )


def recombination(
    config: ChargeConfig, dedx_mev_cm: Float[np.ndarray, " N"], field_kv_cm: float, strength: float = 1.0
) -> Float[np.ndarray, " N"]:
    """Share R of the electrons that escape recombination, by dE/dx in MeV/cm.

    Modified box: R = ln(alpha + s) / s with s = beta dE/dx / (rho field). Birks: R = A / (1 + k dE/dx / (rho field)).

    Args:
        config: the model and its numbers.
        dedx_mev_cm: not below `config.min_mev_cm`, below which the modified box is not valid; lower values count as it.
        field_kv_cm: drift field.
        strength: factor on beta and k, for detector variations.
    """
    dense = np.maximum(dedx_mev_cm, config.min_mev_cm) / (config.density_g_cm3 * field_kv_cm)
    if config.model == "modified_box":
        s = config.box_beta * strength * dense
        escaping = np.log(config.box_alpha + s) / s
    elif config.model == "birks":
        escaping = config.birks_a / (1 + config.birks_k * strength * dense)
    else:
        escaping = np.full(len(dense), config.fixed)
    return np.asarray(escaping)


def local_dedx(
    coords: Int[np.ndarray, "N 3"],
    energy_mev: Float[np.ndarray, " N"],
    instance: Int[np.ndarray, " N"],
    voxel_mm: float,
) -> Float[np.ndarray, " N"]:
    """dE/dx in MeV/cm from voxels alone: the energy of a voxel and its neighbours of the same instance over their path.

    A line through the middle of a window of 3 x 3 x 3 voxels crosses k = 3 (|u_x| + |u_y| + |u_z|) / max|u| of them on
    a path of 3 voxels / max|u|. Both are known for an axis (k 3, path 3), a face diagonal (6, 3 sqrt 2) and a body
    diagonal (9, 3 sqrt 3), all of which have path = 3 voxels * sqrt(k / 3); this is used for every k.
    """
    shifted = coords.astype(np.int64) + 1
    span = int(shifted.max(initial=0)) + 2
    stride = np.array([span * span, span, 1])
    key = shifted @ stride
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    one: list[np.ndarray] = []
    two: list[np.ndarray] = []
    for offset in _NEIGHBOURS @ stride:
        place = np.minimum(np.searchsorted(sorted_key, sorted_key + offset), len(key) - 1)
        met = np.flatnonzero(sorted_key[place] == sorted_key + offset) if len(key) else place
        a, b = order[met], order[place[met]]
        same = instance[a] == instance[b]
        one.append(a[same])
        two.append(b[same])
    first, second = np.concatenate([*one, *two]), np.concatenate([*two, *one])
    total = energy_mev + np.bincount(first, energy_mev[second], minlength=len(key))
    count = 1 + np.bincount(first, minlength=len(key))
    dedx: Float[np.ndarray, " N"] = total / (3 * voxel_mm / 10 * np.sqrt(count / 3))
    return dedx


def electrons(
    config: ChargeConfig, event: Event, voxel_mm: float, field_kv_cm: float, strength: float = 1.0
) -> Float[np.ndarray, " N"]:
    """Electrons that leave each voxel of a 3D event, before the drift.

    Raises:
        BadEventError: an energy that is negative or not finite, or a path length that is not positive.
        UserError: `config.dx_label` is not a label of the event.
    """
    energy = event.energy.astype(np.float64)
    _refuse(event, energy, "energy", energy >= 0)
    if config.model == "fixed":
        dedx = np.zeros(len(event))
    elif config.dx_label is not None:
        if config.dx_label not in event.labels:
            raise UserError(
                f"{event.key} has no label '{config.dx_label}' (charge.dx_label); it has {sorted(event.labels)}"
            )
        dx_mm = event.labels[config.dx_label].astype(np.float64)
        _refuse(event, dx_mm, config.dx_label, dx_mm > 0)
        dedx = energy / (dx_mm / 10)
    else:
        instance = event.labels.get("instance", np.zeros(len(event), dtype=np.int64))
        dedx = local_dedx(event.coords, energy, instance, voxel_mm)
    escaping = recombination(config, dedx, field_kv_cm, strength)
    return np.asarray(energy * 1e6 / config.work_ev * escaping)


def _refuse(event: Event, values: Num[np.ndarray, " N"], name: str, good: np.ndarray) -> None:
    good = good & np.isfinite(values)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BadEventError(
            f"{event.key}: {name} of voxel {row} is {values[row]} ({int((~good).sum())} such voxels); "
            "repair the file or leave the event out"
        )
