"""Berths on disk: an environment each, made by `venv` and filled by `pip` from the files of one release, offline.

    <state>/berths/choice.json      what the launcher starts
    <state>/berths/a/env            the environment
    <state>/berths/a/release        digest of what is in it: written last, so that half an environment has none

Every wheel is proven twice: against the signed manifest, and by pip against the hashes of the release's own lock. pip
sees no index, no configuration and no cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from agent import launcher
from agent.adapters import files
from agent.berths.choice import FOLDER, OUTSIDE, PYTHON, RELEASE, Choice
from agent.errors import DiskFull
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos import ids
from protos.errors import InvalidName, Rejected, Retryable
from protos.ids import Digest
from protos.manifest import AGENT_LOCK, FileEntry

STEP_SECONDS = 900.0  # of one program: unpacking and compiling 300 MB on a slow card takes minutes
UNPACKED = 5  # times the size of the wheels: what an environment of them takes, the wheels themselves included
_PIP = "-m pip --isolated install --no-index --no-deps --require-hashes --only-binary=:all: --no-cache-dir --no-input"
_ASKED = "import agent.main, agent.version; print(agent.version.VERSION)"


class DiskBerths:
    """See agent.berths.ports.Berths. `running`: as the launcher told."""

    def __init__(self, state_dir: Path, running: str) -> None:
        self.running = running
        self._folder = state_dir / FOLDER

    def choice(self) -> Choice:
        return launcher.read(self._folder)

    def choose(self, choice: Choice) -> None:
        files.make_directory(self._folder, 0o700)
        with files.translated(self._folder / "choice"):
            launcher.write(self._folder, choice)

    def release(self, berth: str) -> Digest | None:
        if berth in ("", OUTSIDE):
            return None
        try:
            return ids.digest((self._folder / berth / RELEASE).read_text().strip())
        except (OSError, UnicodeDecodeError, InvalidName):
            return None

    def install(self, berth: str, release: VerifiedRelease, read: Callable[[FileEntry], VerifiedBytes]) -> None:
        place = self._folder / berth
        with files.translated(place):
            self._cleared(place)
            _check_room(place, release)
            for entry in release.manifest.files:
                (place / "files" / entry.path).write_bytes(read(entry))
            _filled(place)
            _check(place, release)
            shutil.rmtree(place / "files")
            os.sync()  # some ten thousand files: one call for all of them
        files.write_atomic(place / RELEASE, f"{release.digest}\n".encode())

    def _cleared(self, place: Path) -> None:
        """Whatever was there; what says that it is whole goes first."""
        files.make_directory(self._folder, 0o700)
        (place / RELEASE).unlink(missing_ok=True)
        if place.exists():
            files.sync_directory(place)
            shutil.rmtree(place)
        files.make_directory(place / "files", 0o700)


def _check_room(place: Path, release: VerifiedRelease) -> None:
    needed = UNPACKED * sum(entry.size for entry in release.manifest.files)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DiskFull(
            f"agent {release.manifest.version} needs {needed >> 20} MiB more and the disk has {free >> 20} MiB; free "
            "some space and it goes on by itself"
        )


def _filled(place: Path) -> None:
    python, source = place / PYTHON, place / "files"
    _run(place, sys.executable, "-m", "venv", str(place / "env"))
    _run(place, str(python), *_PIP.split(), "--find-links", str(source), "--requirement", str(source / AGENT_LOCK))


def _check(place: Path, release: VerifiedRelease) -> None:
    """What is in there is an agent, and the one that was signed."""
    version = release.manifest.version
    said = _run(place, str(place / PYTHON), "-P", "-c", _ASKED).strip()
    if version != said and not version.startswith(f"{said}-"):
        raise Rejected(f"agent {version} says of itself that it is {said or 'none'}; package it anew")


def _run(place: Path, *command: str) -> str:
    """What it printed. Raises Rejected with the last line it complained with; DiskFull, Retryable."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    environment = clean | {"PIP_CONFIG_FILE": os.devnull, "TMPDIR": str(place)}
    try:
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, timeout=STEP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Retryable(f"'{Path(command[0]).name}' took more than {STEP_SECONDS:g} s; it is tried again") from error
    if done.returncode == 0:
        return done.stdout
    said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
    if any("No space left" in line or "Errno 28" in line for line in said):
        raise DiskFull("the disk has no room for the agent's environment; free some space and it goes on by itself")
    if done.returncode < 0:
        raise Retryable(f"a program was ended by signal {-done.returncode}; it is tried again")
    told = next((line for line in said if line.startswith("ERROR: ")), said[-1]).removeprefix("ERROR: ")
    raise Rejected(f"it cannot be installed on this box ({told[:300]}); package it for this box's Python and processor")
