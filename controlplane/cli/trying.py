"""What `longshore try` and `bench` need around the agent: the release as a folder, and the agent as a process.

The two planes are siblings, so what is shown comes from a process of the agent, never from an import. A release of the
registry is fetched by digest into the user's cache, in pieces, and proven before it counts as there; the agent proves
every file again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from controlplane.cli import naming, session
from controlplane.cli.bars import Progress, bars
from controlplane.cli.client import Client
from controlplane.cli.exits import Exit
from controlplane.cli.parcels import MANIFEST, FolderParcel, opened
from controlplane.files import write_atomically
from protos import ids
from protos import manifest as manifests
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import ModelName, Version, hex_of
from protos.manifest import FileEntry, Manifest

AGENT = (sys.executable, "-P", "-m", "agent.main")
_NEEDED = ("agent", "av", "cv2", "msgspec")  # of the agent's environment; what runs models it asks for itself
_CALLED_AS = "LONGSHORE_CALLED_AS"  # of the agent: so that its usage errors name the command that was typed
CHUNK = 4 << 20  # bytes fetched at a time, and held


@contextmanager
def release(text: str) -> Iterator[tuple[Path, Manifest]]:
    """What a user names, as a folder: one that lies here, a tar of one, or NAME@VERSION of the registry.

    Raises:
        Rejected: nothing there, or no release.
        NotFound: the registry has no such release.
        Retryable: the control plane stayed away.
    """
    wished = naming.named(text)
    if wished is None:
        if not Path(text).exists():
            raise Rejected(f"{text} is not there; name a release folder, a tar of one, or NAME@VERSION of the registry")
        with folder_of(Path(text)) as found:
            yield found
        return
    if Path(text).exists():
        click.echo(f"taken from the registry: {text}; what lies here under that name is ./{text}", err=True)
    with session.client() as client, bars() as progress:
        folder = fetched(client, *wished, cache_path(os.environ), progress)
    with folder_of(folder) as found:
        yield found


@contextmanager
def folder_of(path: Path) -> Iterator[tuple[Path, Manifest]]:
    """The release at `path` as a folder; a tar is unpacked for as long as it is used. Raises Rejected."""
    with opened(path) as parcel, tempfile.TemporaryDirectory(prefix="longshore-try-") as place:
        content = parcel.manifest_bytes()
        release = manifests.parse(content)
        if isinstance(parcel, FolderParcel):
            yield path, release
            return
        (Path(place) / MANIFEST).write_bytes(content)
        for entry in release.files:
            with parcel.open(entry.path) as file, (Path(place) / entry.path).open("wb") as copy:
                while chunk := file.read(CHUNK):
                    copy.write(chunk)
        yield Path(place), release


def fetched(client: Client, name: ModelName, number: Version, cache: Path, progress: Progress) -> Path:
    """The folder of a release of the registry, fetched unless it is in the cache.

    Raises:
        NotFound: the registry has no such release.
        Rejected: other bytes came than its digest names.
        Retryable: the control plane stayed away.
    """
    found = client.one("releases", ids.release_name(name, number))
    digest = str(found["spec"]["digest"])
    folder = cache / digest.removeprefix("sha256:")
    content = client.call("GET", f"/releases/{found['metadata']['name']}/manifest").content
    if manifests.release_digest(content) != digest:
        raise Rejected(f"the manifest of {name} {number} is not what its digest names; try again, or ask who runs it")
    folder.mkdir(parents=True, exist_ok=True)
    for entry in manifests.parse(content).files:
        if not _is_there(folder / entry.path, entry):
            _fetch(client, entry, folder, progress)
    write_atomically(folder / MANIFEST, content)
    return folder


def _is_there(path: Path, entry: FileEntry) -> bool:
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == hex_of(entry.digest)


def _fetch(client: Client, entry: FileEntry, folder: Path, progress: Progress) -> None:
    beside, digest = folder / f".{entry.path}.{os.getpid()}", hashlib.sha256()
    try:
        with beside.open("wb") as file:
            while file.tell() < entry.size:
                chunk = client.piece(entry.digest, file.tell(), min(entry.size, file.tell() + CHUNK))
                if not chunk:
                    raise Retryable(f"{entry.path} ended too early on its way; try again")
                digest.update(chunk)
                file.write(chunk)
                progress(f"fetching {entry.path}", file.tell(), entry.size)
        if digest.hexdigest() != hex_of(entry.digest):
            raise Rejected(f"{entry.path} is not what its digest names; it was changed on the way, so try again")
        beside.replace(folder / entry.path)
    finally:
        beside.unlink(missing_ok=True)


def cache_path(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".cache")
    return Path(base) / "longshore" / "releases"


def free_folder(release: Manifest, here: Path, verb: str = "try") -> Path:
    """Where the output goes when nobody says: beside whatever earlier ones left."""
    name = f"{release.name}-{release.version}-{verb}"
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 10_000))
    return next(path for path in map(here.__truediv__, names) if not path.exists())


def check_agent() -> None:
    """Raises Fatal where this environment has no agent."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise Fatal(
            f"this environment has no agent ({', '.join(missing)} not there), and nothing else runs releases; add it:"
            f" {shutil.which('pip') or 'pip'} install 'longshore[agent-cpu]' (in a clone: scripts/bootstrap)"
        )


def run_agent(words: Sequence[str]) -> int:
    """`longshore-agent` with these words, on this terminal; its exit code. Ctrl-C is the agent's to handle.

    Raises:
        Fatal: this environment has no agent.
    """
    check_agent()
    with subprocess.Popen([*AGENT, *words], env={**os.environ, _CALLED_AS: "longshore"}) as agent:
        while True:
            try:
                return agent.wait()
            except KeyboardInterrupt:
                continue  # it got the signal too, and keeps what it wrote


def check_ended(code: int) -> None:
    """Raises what ends this command as the agent ended, which has said why.

    Its 4 is a machine to mend, which scripts would take for "no such object" here.
    """
    if code:
        raise click.exceptions.Exit(Exit.REJECTED if code == Exit.NOT_FOUND else code)
