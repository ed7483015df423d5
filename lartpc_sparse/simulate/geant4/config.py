"""Configuration of the Geant4 source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lartpc_sparse.simulate.base import EventSource, SourceConfig
from lartpc_sparse.simulate.geant4.generator_config import BunchConfig, pilarnet_bunches
from lartpc_sparse.simulate.labelling import LabelRules

__all__ = ["Geant4Config"]


class Geant4Config(SourceConfig):
    """Events in a box of liquid argon, simulated by Geant4; by default they are like PILArNet's.

    Needs the package `geant4-pybind` (`pip install 'lartpc-sparse[geant4]'`) and Geant4's data tables.
    """

    kind: Literal["geant4"] = "geant4"
    image_size: tuple[int, int, int] = Field((768, 768, 768), description="voxels along x, y (up) and z")
    voxel_mm: float = Field(3.0, gt=0, description="edge of a voxel, mm; the box is image_size x voxel_mm")
    bunches: tuple[BunchConfig, ...] = Field(
        default_factory=pilarnet_bunches, min_length=1, description="what is shot, all in every event"
    )
    physics: Literal["full", "electromagnetic"] = Field(
        "full",
        description="full: standard electromagnetic, decays, FTFP_BERT, elastic, stopping; electromagnetic: the first "
        "two, so that nothing interacts with nuclei",
    )
    tables: str | None = Field(
        None, min_length=1, description="directory of Geant4's data tables; null: as the environment says"
    )
    range_cut_mm: float = Field(0.1, gt=0, description="particles of shorter range are not made, mm")
    step_limit_mm: float = Field(1.0, gt=0, description="longest step of electrons and positrons, mm")
    heavy_step_limit_mm: float = Field(
        3.0, gt=0, description="longest step of other charged particles, which hardly bend on the way, mm"
    )
    labels: LabelRules = LabelRules()
    min_voxels: int = Field(200, ge=0, description="an event with fewer voxels is drawn again")

    @model_validator(mode="after")
    def _checked(self) -> Geant4Config:
        if min(self.image_size) < 1:
            raise ValueError(f"image_size is three positive numbers of voxels, not {list(self.image_size)}")
        return self

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Edges of the box."""
        x, y, z = self.image_size
        return x * self.voxel_mm, y * self.voxel_mm, z * self.voxel_mm

    def build(self) -> EventSource:
        """The source; a process can have one only, because Geant4 has one run manager.

        Raises:
            UserError: the package or a table is missing, or the process has a source of another configuration.
        """
        from lartpc_sparse.simulate.geant4.source import Geant4Source

        return Geant4Source(self)
