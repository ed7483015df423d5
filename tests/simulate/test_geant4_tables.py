"""Where Geant4's tables are looked for, what is said of them, and that nothing asks for a download."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.geant4 import Geant4Config, package, tables
from lartpc_sparse.simulate.geant4.tables import DATA_SETS, find_tables

REDUCED = ("EMLOW", "ENSDF", "PHOT", "PXS")


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tables, "_DOWNLOADED", tmp_path / "nothing-downloaded")


def reduced(folder: Path, names: tuple[str, ...] = REDUCED) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
    return folder


def official(folder: Path) -> Path:
    for data_set in DATA_SETS:
        (folder / f"{data_set.official}8.8").mkdir(parents=True)
    data = folder / "G4EMLOW8.8"
    for place, name in (("brem_SB", "br{}"), ("epics2017/phot", "pe-cs-{}.dat"), ("epics2017/rayl", "re-cs-{}.dat")):
        (data / place).mkdir(parents=True)
        for z in range(1, 101):
            (data / place / name.format(z)).write_text(str(z))
    neutron = folder / "G4PARTICLEXS8.8" / "neutron"
    neutron.mkdir()
    for z in (18, 20):
        (neutron / f"el{z}").write_text(str(z))
    (folder / "PhotonEvaporation8.8" / "z18.a40").write_text("level")
    (folder / "G4ENSDFSTATE8.8" / "ENSDFSTATE.dat").write_text("state")
    return folder


def test_a_directory_of_reduced_tables(tmp_path: Path) -> None:
    found = find_tables(str(reduced(tmp_path / "tables")), {})
    assert found.folders["G4LEDATA"] == tmp_path / "tables" / "EMLOW"
    assert found.environment()["GEANT4_DATA_DIR"] == str(tmp_path / "tables")
    assert {data_set.variable for data_set in DATA_SETS} < set(found.environment())
    assert "neutron cross sections" in found.substitutes
    assert "bremsstrahlung below 1 GeV" in found.substitutes
    assert "G4LEDATA=EMLOW" in found.describe()
    assert str(tmp_path) not in found.describe()


def test_official_tables_have_no_substitutes(tmp_path: Path) -> None:
    folder = official(tmp_path / "official")
    assert find_tables(str(folder), {}).substitutes == ()
    (folder / "PhotonEvaporation8.8" / "z18.a40").unlink()
    assert find_tables(str(folder), {}).substitutes == ("nuclear level data (none)",)
    assert find_tables(str(folder), {}, hadronic=False).substitutes == ()


def test_the_order_of_places(tmp_path: Path) -> None:
    first, second, third = (reduced(tmp_path / name) for name in ("first", "second", "third"))
    environment = {"GEANT4_DATA_DIR": str(second), "G4LEDATA": str(third / "EMLOW")}
    found = find_tables(None, environment)
    assert found.folders["G4LEDATA"] == third / "EMLOW"
    assert found.folders["G4PARTICLEXSDATA"] == second / "PXS"
    assert find_tables(str(first), environment).folders["G4LEDATA"] == first / "EMLOW"
    (second / "G4EMLOW8.8").mkdir()
    assert find_tables(None, {"GEANT4_DATA_DIR": str(second)}).folders["G4LEDATA"].name == "G4EMLOW8.8"


def test_data_sets_by_their_variables_alone(tmp_path: Path) -> None:
    folder = official(tmp_path / "official")
    environment = {data_set.variable: str(folder / f"{data_set.official}8.8") for data_set in DATA_SETS}
    found = find_tables(None, environment)
    assert found.substitutes == ()
    assert found.directory.is_dir()


@pytest.mark.parametrize(
    ("missing", "message"), [("EMLOW", "set G4LEDATA to its folder"), ("PXS", "ask for `physics: electromagnetic`")]
)
def test_a_missing_data_set_is_named_with_its_cure(tmp_path: Path, missing: str, message: str) -> None:
    folder = reduced(tmp_path / "tables", tuple(name for name in REDUCED if name != missing))
    with pytest.raises(UserError, match=r"docs/simulation\.md") as error:
        find_tables(str(folder), {})
    assert message in str(error.value)


def test_electromagnetic_physics_needs_less(tmp_path: Path) -> None:
    folder = reduced(tmp_path / "tables", ("EMLOW", "ENSDF"))
    assert find_tables(str(folder), {}, hadronic=False).folders["G4PARTICLEXSDATA"].is_dir()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no directory"):
        find_tables(str(tmp_path / "nowhere"), {})
    with pytest.raises(UserError, match=r"G4LEDATA names .*, which is not a directory"):
        find_tables(None, {"G4LEDATA": str(tmp_path / "nowhere")})


def test_without_any_tables_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEANT4_DATA_DIR", *(data_set.variable for data_set in DATA_SETS)):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="G4EMLOW was not found"):
        Geant4Config().build()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lartpc-sparse\[geant4\]'"):
        Geant4Config(tables=str(reduced(tmp_path / "tables"))).build()


def test_the_package_is_imported_by_nobody_but_the_source() -> None:
    code = (
        "import sys, lartpc_sparse.chain, lartpc_sparse.simulate.geant4.source;sys.exit('geant4_pybind' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
