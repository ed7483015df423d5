"""Runs the steps of a Dockerfile in chroots, stage by stage, where no container engine is at hand; needs root.

Each base image is replaced by a fresh system that debootstrap makes of the same distribution, with the packages that
the image has and the steps need; a stage that begins from an earlier one lies on top of it, as an overlay. RUN, ENV,
COPY, WORKDIR and USER do what they do in an image, and the size of each layer is said; the command of HEALTHCHECK is
run at the end, as the image's user. What cannot run without the base image (nvcc): `--skip`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = "/usr/share/debootstrap/scripts"
DEBIAN = ("bookworm", "http://deb.debian.org/debian", "main", f"{SCRIPTS}/sid")
# All of Ubuntu's releases share one script; Debian's debootstrap does not list the newest under their names.
# Needs the package ubuntu-keyring (of Ubuntu, or of Debian's newer releases).
UBUNTU = ("noble", "http://archive.ubuntu.com/ubuntu", "main,universe", f"{SCRIPTS}/gutsy")
KEYRINGS = {"noble": ["--keyring", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"]}
BASES = {
    # Debian's Python 3.11 stands for the one that the image built from source.
    "python:3.11.13-slim-bookworm": (DEBIAN, ["python3-venv", "python-is-python3", "ca-certificates"]),
    "nvidia/cuda:12.6.3-devel-ubuntu24.04": (UBUNTU, ["ca-certificates"]),
    "nvidia/cuda:12.6.3-base-ubuntu24.04": (UBUNTU, ["ca-certificates"]),
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Stage:
    """One FROM and what follows it."""

    folder: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"})
    workdir: str = "/"
    user: str = "0"
    mounted: ExitStack = field(default_factory=ExitStack)

    def begin(self, image: str, binds: list[str]) -> None:
        """Make the system that stands for the image, with this machine's settings of network and pip."""
        (suite, mirror, components, script), packages = BASES[image]
        say(f"FROM {image}: debootstrap {suite} with {', '.join(packages)}")
        include = ["--include", ",".join(packages), "--components", components, *KEYRINGS.get(suite, [])]
        run(["debootstrap", "--variant=minbase", *include, suite, str(self.folder), mirror, script], quiet=True)
        for name in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if Path(name).exists():
                shutil.copy(name, self.folder / name.lstrip("/"))
        self._bind(binds)

    def begin_from(self, origin: Stage, binds: list[str]) -> None:
        """Go on from the end of an earlier stage, which stays as it is."""
        say(f"FROM {origin.folder.name}, an earlier stage")
        above, work = (self.folder.with_name(f"{self.folder.name}-{name}") for name in ("layer", "work"))
        for folder in (self.folder, above, work):
            folder.mkdir(parents=True)
        layers = f"lowerdir={origin.folder},upperdir={above},workdir={work}"
        run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.folder)])
        self.mounted.callback(run, ["umount", "-l", str(self.folder)])
        self.env, self.workdir, self.user = dict(origin.env), origin.workdir, origin.user
        self._bind(binds)

    def _bind(self, binds: list[str]) -> None:
        for name in ("/proc", "/dev", *binds):
            target = self.folder / name.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            run(["mount", "--rbind", name, str(target)])
            run(["mount", "--make-rslave", str(target)])
            self.mounted.callback(run, ["umount", "-R", "-l", str(target)])

    def run(self, command: list[str]) -> None:
        """A command as the stage's user, in its directory."""
        env = [f"{name}={value}" for name, value in self.env.items()]
        inner = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(command)}"
        (self.folder / self.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        run(
            [
                "chroot",
                f"--userspec={self.user}:{self.user}",
                str(self.folder),
                "/usr/bin/env",
                "-i",
                *env,
                "/bin/bash",
                "-c",
                inner,
            ]
        )

    def copy(self, words: list[str], stages: dict[str, Stage], context: Path) -> None:
        """COPY [--from=STAGE] [--chown=USER] SOURCE... TARGET."""
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        *sources, target = [word for word in words if not word.startswith("--")]
        origin = stages[options["from"]].folder if "from" in options else context
        place = self.folder / os.path.normpath(Path(self.workdir) / target).lstrip("/")
        for name in sources:
            source = origin / name.lstrip("/")
            into = place / source.name if target.endswith("/") and source.is_file() else place
            into.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, into)
        if "chown" in options:
            run(["chown", "-R", options["chown"], str(place)])
        sys.stdout.write(f"-- {size_of(place) / 1e6:,.1f} MB\n")


def size_of(place: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if not path.is_symlink()]
    return sum(path.stat().st_size for path in files if path.is_file())


def say(text: str) -> None:
    """A heading."""
    sys.stdout.write(f"\n== {text}\n")
    sys.stdout.flush()


def run(command: list[str], *, quiet: bool = False) -> None:
    """A command of this machine; its output only when it fails, if wanted."""
    done = subprocess.run(command, check=False, capture_output=quiet, text=True)
    if done.returncode:
        raise SystemExit(
            f"error: {shlex.join(command)} ended with status {done.returncode}\n{done.stdout or ''}{done.stderr or ''}"
        )


def build_context(folder: Path) -> Path:
    """What .dockerignore, which names what is kept, leaves of the files that git knows."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "--", *kept]
    for name in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def step(stage: Stage, instruction: str, value: str, stages: dict[str, Stage], context: Path) -> None:
    """One instruction of a stage."""
    if instruction == "RUN":
        say(f"RUN {value}")
        began = time.monotonic()
        stage.run(["/bin/bash", "-o", "pipefail", "-c", value])
        sys.stdout.write(f"-- {time.monotonic() - began:.0f} s\n")
    elif instruction == "ENV":
        for pair in shlex.split(value):
            name, text = pair.split("=", 1)
            stage.env[name] = text.replace("$PATH", stage.env["PATH"])
    elif instruction == "COPY":
        say(f"COPY {value}")
        stage.copy(shlex.split(value), stages, context)
    elif instruction == "WORKDIR":
        stage.workdir = value
    elif instruction == "USER":
        stage.user = value
        users = [line.split(":") for line in (stage.folder / "etc/passwd").read_text().splitlines()]
        stage.env["HOME"] = next(fields[5] for fields in users if value in (fields[0], fields[2]))
    elif instruction == "HEALTHCHECK":
        say("HEALTHCHECK")
        stage.run(json.loads(value[value.index("CMD") + 3 :]))
    elif instruction not in ("SHELL", "ENTRYPOINT", "CMD"):
        raise SystemExit(f"error: {instruction} is not known here")


def main() -> int:
    """Run all stages; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="empty or new folder for the chroots; gigabytes")
    parser.add_argument("--bind", nargs="*", default=[], help="folders of this machine that pip's settings need")
    parser.add_argument("--skip", nargs="*", default=[], help="leave out lines of RUN and COPY with one of these texts")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("error: debootstrap and chroot need root")
    if options.work.exists() and any(options.work.iterdir()):
        raise SystemExit(f"error: {options.work} is not empty; remove it, or name another folder")
    context = build_context(options.work / "context")
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    with ExitStack() as mounted:
        stage: Stage | None = None
        for line in DockerfileParser(fileobj=BytesIO(options.dockerfile.read_bytes())).structure:
            instruction, value = line["instruction"], line["value"]
            if instruction == "FROM":
                words = Template(value).substitute(arguments).split()
                name = words[2] if len(words) == 3 else "final"
                stage = Stage(options.work / f"stage-{name}")
                mounted.enter_context(stage.mounted)
                if words[0] in stages:
                    stage.begin_from(stages[words[0]], options.bind)
                else:
                    stage.begin(words[0], options.bind)
                stages[name] = stage
            elif instruction == "ARG" and stage is None:
                name, _, arguments[name] = value.partition("=")
            elif instruction in ("RUN", "COPY") and any(word in value for word in options.skip):
                say(f"SKIPPED: {instruction} {value}")
            elif instruction != "COMMENT":
                assert stage is not None
                step(stage, instruction, value, stages, context)
    say("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
