"""A release of the agent, made of a checkout: its lock, the wheels that the lock names, and a wheel of our own.

pip fetches by the hashes of the lock, and the hash of our own wheel joins them in what travels, so that a box's pip
proves every file again. Nothing is resolved: the lock is the whole closure.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from protos import ids, manifest
from protos.errors import Rejected
from protos.ids import digest
from protos.manifest import AGENT, AGENT_LOCK, AGENT_MODEL, FileEntry, Manifest

Pip = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Wish:
    """`python`: version of the boxes' Python, such as 3.11; "": this one's. `suffix`: appended to the version."""

    checkout: Path
    target: Path
    lock: str = "agent-cpu"
    python: str = ""
    suffix: str = ""


def pip(arguments: Sequence[str]) -> None:
    """Raises Rejected with what it complained about."""
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()
        told = next((line for line in said if line.startswith("ERROR: ")), said[-1])
        raise Rejected(f"pip {arguments[0]} failed ({told}); check the network and run the same again")


def package(wish: Wish, run: Pip) -> Manifest:
    """Make the folder `wish.target`. Raises Rejected: what is wrong, with nothing left behind."""
    lock = wish.checkout / "requirements" / f"{wish.lock}.lock"
    if not (lock.exists() and (wish.checkout / "pyproject.toml").exists()):
        raise Rejected(f"{wish.checkout} is no checkout of Longshore with requirements/{wish.lock}.lock; name one")
    if wish.target.exists():
        raise Rejected(f"{wish.target} is there already; name another folder with -o")
    wish.target.mkdir(parents=True)
    try:
        return _filled(wish, lock, run)
    except BaseException:
        shutil.rmtree(wish.target)
        raise


def _filled(wish: Wish, lock: Path, run: Pip) -> Manifest:
    project = tomllib.loads((wish.checkout / "pyproject.toml").read_text())["project"]
    run(["wheel", "--no-deps", "--wheel-dir", str(wish.target), str(wish.checkout)])
    ours = _only_wheel(wish.target)
    fetching = ["download", "--require-hashes", "--no-deps", "--only-binary=:all:", "--dest", str(wish.target)]
    fetching += ["--python-version", wish.python] if wish.python else []
    run([*fetching, "--requirement", str(lock)])
    pinned = f"{project['name']}=={project['version']} --hash=sha256:{_sha256(ours)}"
    (wish.target / AGENT_LOCK).write_text(f"{lock.read_text().rstrip()}\n{pinned}\n")
    version = ids.version(str(project["version"]) + (f"-{wish.suffix}" if wish.suffix else ""))
    entries = tuple(_entry(path) for path in sorted(wish.target.iterdir()))
    made = Manifest(AGENT_MODEL, version, AGENT, None, (), (), entries)
    manifest.check_counts(made)
    content = manifest.to_bytes(made)
    manifest.parse(content)
    (wish.target / "manifest.json").write_bytes(content)
    return made


def _only_wheel(folder: Path) -> Path:
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise Rejected("pip made no wheel of the checkout; run the same again, and look at what it says")
    return found[0]


def _entry(path: Path) -> FileEntry:
    role = "lock" if path.name == AGENT_LOCK else "wheel"
    return FileEntry(path.name, digest(f"sha256:{_sha256(path)}"), path.stat().st_size, role)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
