"""The two acts: `back_up` beside a control plane that serves, `restore` into a place where none is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from controlplane.adapters.listening import held
from controlplane.backup import archive
from controlplane.backup.contents import DATABASES, STATE, Manifest, check_restorable, missing, wanted
from controlplane.backup.databases import Store, store
from controlplane.files import private_folder, sync_folder
from controlplane.migrations.migrate import head
from protos.errors import Rejected, Retryable

_SCRATCH = ".restoring-"

Progress = Callable[[str, int, int], None]  # what is done, bytes done, of so many


def back_up(target: Path, state: Path, database_url: str, progress: Progress, *, keys: bool = True) -> Manifest:
    """Write `target` from the control plane's state. It may run meanwhile.

    Raises:
        Rejected: there is no control plane, or `target` is there already.
        Retryable: something it needs went away while it was copied.
        Fatal: the disk, or PostgreSQL's programs.
    """
    folder = state / "controlplane"
    if not folder.is_dir():
        raise Rejected(f"there is no control plane in {state}; name its state folder with --state")
    database = store(database_url or f"sqlite:///{folder / 'longshore.db'}")
    with archive.writing(target) as writer, _beside(target) as scratch:
        snapshot = scratch / DATABASES[database.kind]
        named = database.named() if database.kind == "postgresql" else set()
        database.save(snapshot, lambda done, total: progress("database", done, total))
        saved = store(f"sqlite:///{snapshot}") if database.kind == "sqlite" else database
        _add(writer, [(snapshot, snapshot.name), *_files(folder, keys=keys)], progress)
        lost = missing(named or saved.named(), writer.files)
        if lost:
            raise Retryable(f"{len(lost)} files of releases are not there ({min(lost)[:12]}…); run the backup again")
        manifest = _manifest(writer, saved, keys=keys)
        writer.finish(manifest)
    return manifest


def restore(source: Path, state: Path, database_url: str, progress: Progress) -> Manifest:
    """Put what is in `source` where no control plane is yet.

    Raises:
        Rejected: it is damaged, of a newer Longshore, or something is there already. Nothing was changed.
        Fatal: a control plane runs there, or the disk. Nothing was changed.
    """
    manifest = archive.manifest_of(source)
    check_restorable(manifest, metadata.version("longshore"), head())
    database = _target(manifest, state, database_url)
    _check_place(state)
    database.check_empty()
    archive.prove(source, manifest, lambda done, total: progress("proving", done, total))
    with ExitStack() as stack:
        folder = stack.enter_context(_held_place(state))
        _forget_killed(state)
        fresh = Path(stack.enter_context(_scratch(state)))
        place = _places(fresh, manifest.database)
        archive.unpack(source, manifest, place, lambda done, total: progress("restoring", done, total))
        dump = fresh / DATABASES["postgresql"]
        database.load(dump)
        dump.unlink(missing_ok=True)
        _appear(fresh, folder)
    return manifest


def _target(manifest: Manifest, state: Path, database_url: str) -> Store:
    if manifest.database == "postgresql" and not database_url:
        raise Rejected("this backup is of a PostgreSQL database; name an empty one with --database-url")
    found = store(database_url or f"sqlite:///{state / 'controlplane' / 'longshore.db'}")
    if found.kind != manifest.database:
        raise Rejected(f"this backup is of a {manifest.database} database and goes into no other kind")
    return found


def _add(writer: archive.Writer, files: list[tuple[Path, str]], progress: Progress) -> None:
    total = sum(path.stat().st_size for path, _ in files if path.exists())
    done = 0

    def more(read: int) -> None:
        nonlocal done
        done += read
        progress("files", done, total)

    for path, name in files:
        writer.add(path, name, more)


def _files(folder: Path, *, keys: bool) -> list[tuple[Path, str]]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    named = [(path, path.relative_to(folder).as_posix()) for path in found]
    return [(path, STATE + name) for path, name in named if wanted(name, keys=keys)]


def _manifest(writer: archive.Writer, saved: Store, *, keys: bool) -> Manifest:
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(metadata.version("longshore"), created, saved.kind, saved.revision(), keys, writer.files)


def _check_place(state: Path) -> None:
    """Raises Rejected when something is there, Fatal when a control plane runs on it."""
    folder = state / "controlplane"
    if not folder.exists():
        return
    with held(folder):
        there = [path.name for path in folder.iterdir() if path.name != "lock"]
    if there:
        raise Rejected(f"{folder} is not empty; restore into another --state, or move it away first")


@contextmanager
def _held_place(state: Path) -> Iterator[Path]:
    """The control plane's folder, held so that none starts there meanwhile."""
    folder = private_folder(state / "controlplane")
    with held(folder):
        yield folder


def _forget_killed(state: Path) -> None:
    """What a restore that was killed left beside the place: it holds keys."""
    for left in state.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)


def _places(fresh: Path, kind: str) -> Callable[[str], Path | None]:
    def place(name: str) -> Path | None:
        if name == DATABASES[kind]:
            return fresh / ("longshore.db" if kind == "sqlite" else name)
        return fresh / name.removeprefix(STATE) if name.startswith(STATE) else None

    return place


def _appear(fresh: Path, folder: Path) -> None:
    """One rename; the lock that we hold goes with the empty folder that it replaces."""
    private_folder(fresh)
    for inner, _, _ in os.walk(fresh):
        sync_folder(Path(inner))
    (folder / "lock").unlink()
    fresh.rename(folder)
    sync_folder(folder.parent)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder for the snapshot on the disk that gets the backup: /tmp may be memory."""
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".longshore-backup-") as folder:
        yield Path(folder)


@contextmanager
def _scratch(state: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=state, prefix=_SCRATCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
