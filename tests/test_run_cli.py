"""The command line: what it passes on, what it prints, how it exits. The chain itself is a stand-in."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from lartpc_sparse.provenance import __version__
from lartpc_sparse.run import main
from lartpc_sparse.schema import BadEventError, Config


class StandInRun(Config):
    device: str = "cpu"


class StandInConfig(Config):
    run: StandInRun = StandInRun()
    name: str = "demo"
    epochs: int = Field(1, ge=1)


class StandInChain:
    """Records the calls of `run_chain`; raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[str, ...], bool]] = []
        self.error: BaseException | None = None

    def run_chain(self, config: StandInConfig, *, only: Sequence[str] = (), force: bool = False) -> None:
        self.calls.append((config, tuple(only), force))
        if self.error is not None:
            raise self.error


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandInChain:
    stand_in = StandInChain()
    import lartpc_sparse.variants  # noqa: F401  it must see the real ones

    monkeypatch.setattr("lartpc_sparse.config.ChainConfig", StandInConfig)
    monkeypatch.setattr("lartpc_sparse.chain.run_chain", stand_in.run_chain)
    monkeypatch.chdir(tmp_path)
    Path("chain.yaml").write_text("name: x\n")
    return stand_in


def test_runs_the_chain(chain: StandInChain) -> None:
    assert main(["chain.yaml"]) == 0
    assert chain.calls == [(StandInConfig(name="x"), (), False)]


def test_options_reach_the_chain(chain: StandInChain) -> None:
    arguments = ["chain.yaml", "--set", "epochs=3", "--set", "epochs=4", "name=y", "--only", "train", "predict"]
    assert main([*arguments, "--only", "report", "--force"]) == 0
    assert chain.calls == [(StandInConfig(name="y", epochs=4), ("train", "predict", "report"), True)]


def test_configuration_error_is_a_message_without_traceback(
    chain: StandInChain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chain.yaml", "--set", "epochs=0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: --set epochs=0: epochs: should be greater than or equal to 1; given 0\n"
    assert chain.calls == []


def test_user_text_is_not_markup(chain: StandInChain, capsys: pytest.CaptureFixture[str]) -> None:
    chain.error = BadEventError("[red]f.h5[/red] entry 3: :x: point has 7 columns" + " and so on" * 30)
    assert main(["chain.yaml"]) == 2
    assert capsys.readouterr().err == f"error: {chain.error}\n"


def test_interrupt_is_one_line(chain: StandInChain, capsys: pytest.CaptureFixture[str]) -> None:
    chain.error = KeyboardInterrupt()
    assert main(["chain.yaml"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_keeps_its_traceback(chain: StandInChain) -> None:
    chain.error = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        main(["chain.yaml"])


def test_missing_file(chain: StandInChain, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chan.yaml"]) == 2
    assert capsys.readouterr().err == "error: chan.yaml: no such file; did you mean 'chain.yaml'?\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["chain.yaml", "--only", "predikt"],
            "--only predikt: no such step; valid: simulate, train, tune, inpaint, predict",
        ),
        ([], "name the chain file"),
        (["--set", "epochs=1", "chain.yaml"], "name the chain file, before --set and --only"),
        (["chain.yaml", "--fast"], "unrecognized arguments: --fast"),
        (["chain.yaml", "--forc"], "unrecognized arguments: --forc"),
    ],
)
def test_refused_arguments(
    chain: StandInChain, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert expected in capsys.readouterr().err
    assert chain.calls == []


def test_schema_is_json(chain: StandInChain, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["epochs"]["anyOf"][0]["minimum"] == 1
    assert chain.calls == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"lartpc_sparse {__version__}\n"


@pytest.mark.parametrize("module", ["lartpc_sparse", "lartpc_sparse.run"])
def test_both_modules_are_the_door(chain: StandInChain, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "chain.yaml", "--force"])
    monkeypatch.delitem(sys.modules, module, raising=False) if module.endswith(".run") else None
    with pytest.raises(SystemExit) as caught:
        runpy.run_module(module, run_name="__main__", alter_sys=False)
    assert caught.value.code == 0
    assert [call[2] for call in chain.calls] == [True]


def test_help_needs_neither_torch_nor_pydantic() -> None:
    script = (
        "import sys; from lartpc_sparse.run import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'pydantic', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
