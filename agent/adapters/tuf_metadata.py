"""Metadata over python-tuf's client: the library proves, this module keeps what it proved through a power cut.

Files lie in one folder under unversioned names, roots in its root_history. The library renames without syncing, and its
own protection against rollback is as good as those files: so all are synced before a call returns, and floors of ours
decide (agent.trust.floors). Roots are walked here, with the library's verification, since what online keys signed must
go before the library looks at it when their keys were changed. A local file that is empty, garbled or gone is fetched
anew. Each target must stand in the role that may say such a thing, whatever delegations allow.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import DownloadError, DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from agent.adapters import files
from agent.trust import freshness
from agent.trust.agreement import Found
from agent.trust.errors import Absent, NotApproved, Stale, Untrusted
from agent.trust.floors import RootFacts, Seen
from agent.trust.metadata import Get, Proven
from protos import trust as names
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, Digest, hex_of
from protos.trust import Assignment, Listing

_MOST_ROOTS = 256  # in one walk
_CONFIG = UpdaterConfig(max_root_rotations=0)  # roots were walked before it looks
_HISTORY = "root_history"
_SUFFIX = ".json"
_NOBODY = DeploymentName("-")  # no name that a deployment may have

T = TypeVar("T", Timestamp, Snapshot, Targets)


class TufMetadata:
    """See agent.trust.metadata.Metadata."""

    def __init__(self, folder: Path, get: Get, now: Callable[[], float]) -> None:
        """`now`: unix seconds. Raises Retryable, Fatal when the folder cannot be made."""
        self._folder = folder
        self._fetcher = _Fetcher(get)
        self._now = now
        self._root = b""  # the newest
        self._updater: Updater | None = None
        self._digests: tuple[dict[str, list[str]], dict[str, float]] | None = None  # of what was proven last
        files.make_directory(folder / _HISTORY)
        with files.translated(folder):
            for left in folder.glob("tmp*"):  # the library was killed while it wrote
                left.unlink(missing_ok=True)

    def roots(self, first: bytes) -> list[RootFacts]:
        """See the port."""
        self._updater = self._digests = None
        with self._translated():
            root = _self_signed(first)
            self._root, walked = first, [_facts(root)]
            try:
                while len(walked) <= _MOST_ROOTS and (found := self._next(root)):
                    root, self._root = found
                    walked.append(_facts(root))
            finally:
                self._name_newest_root()
            return walked

    def forget_online(self) -> None:
        """See the port."""
        self._updater = self._digests = None
        self._remove(Timestamp.type, Snapshot.type)

    def refresh(self) -> Proven:
        """See the port."""
        self._updater = self._digests = None
        with self._translated():
            updater = Updater(str(self._folder), "", fetcher=self._fetcher, config=_CONFIG, bootstrap=self._root)
            updater.refresh()
            self._sync()
            proven = self._proven()
        self._updater = updater
        return proven

    def find(self, deployment: DeploymentName, *, shadow: bool) -> tuple[Found, Mapping[str, float]]:
        """See the port."""
        with self._translated():
            version = self._read(Timestamp).version
            path, listing, floor = names.assigned_path(deployment, shadow=shadow), None, 0
            expires: dict[str, float] = {}
            assigned = self._in_role(path, names.ASSIGN, expires)
            assignment = _assignment(deployment, assigned, shadow=shadow) if assigned else None
            if assignment is not None:
                listing, floor = self._listing(assignment, expires)
            self._sync()
            return Found(path, version, assignment, listing, floor), expires

    def listed(self, digest: Digest) -> tuple[Listing | None, Mapping[str, float]]:
        """See the port."""
        with self._translated():
            known = self._known()
            self._digests = self._digests or self._assigned(known)
            paths, expires = self._digests
            found: dict[str, float] = dict(expires)
            agreed = (self._agreed(path, found) for path in paths.get(hex_of(digest), ()))
            listing = next((each for each in agreed if each is not None and each.digest == digest), None)
            if listing is not None:
                self._sync()
            return listing, found

    # ---- roots ----

    def _next(self, root: Root) -> tuple[Root, bytes] | None:
        """The root after `root`, as kept here or else as fetched; None when there is none."""
        version = root.version + 1
        path = self._folder / _HISTORY / f"{version}.root.json"
        with contextlib.suppress(OSError, RepositoryError, DeserializationError):
            content = path.read_bytes()
            return _successor(root, content), content
        try:
            content = self._fetcher.get(f"{version}.root.json", _CONFIG.root_max_length)
        except Absent:
            return None
        found = _successor(root, content)
        files.write_atomic(path, content)
        return found, content

    def _name_newest_root(self) -> None:
        path = self._folder / f"{Root.type}{_SUFFIX}"
        if not path.exists() or path.read_bytes() != self._root:
            files.write_atomic(path, self._root)

    # ---- what was proven ----

    def _proven(self) -> Proven:
        """Versions of all roles stand in the snapshot, which was proven with the timestamp that names it."""
        timestamp, snapshot = self._read(Timestamp), self._read(Snapshot)
        roles = {name.removesuffix(_SUFFIX): meta.version for name, meta in snapshot.meta.items()}
        roles |= {Timestamp.type: timestamp.version, Snapshot.type: snapshot.version}
        told = timestamp.unrecognized_fields.get(names.SIGNED_AT, 0)
        signed = told if isinstance(told, int) and told >= 0 else 0
        known = (Metadata[Root].from_bytes(self._root).signed, timestamp, snapshot, self._read(Targets))
        return Proven(Seen(roles, signed), {each.type: each.expires.timestamp() for each in known})

    def _listing(self, assignment: Assignment, expires: dict[str, float]) -> tuple[Listing | None, int]:
        """And the highest floor that its model's role names."""
        role = names.model_role(assignment.model)
        path = names.release_path(assignment.model, assignment.version)
        target = self._in_role(path, role, expires)
        self._said(names.MODELS, expires)
        said = self._said(role, {})
        return (_described(target) if target else None), (_highest_floor(said) if said else 0)

    def _assigned(self, known: Updater) -> tuple[dict[str, list[str]], dict[str, float]]:
        """Paths that are assigned a digest, and when that expires. Read once for what was proven, since anybody beside
        the box may ask for digests that are not there.
        """
        expires: dict[str, float] = {}
        known.get_targetinfo(names.assigned_path(_NOBODY))  # brings the role, where it is not here yet
        said, paths = self._said(names.ASSIGN, expires), dict[str, list[str]]()
        for path, target in said.targets.items() if said else ():
            for told in target.hashes.values():
                paths.setdefault(told, []).append(path)
        self._sync()
        return paths, expires

    def _agreed(self, path: str, expires: dict[str, float]) -> Listing | None:
        """The listing of what is assigned at `path`, where both name one manifest."""
        _, deployment, kind = path.split("/")
        target = self._in_role(path, names.ASSIGN, expires)
        if target is None:
            return None
        assignment = _assignment(DeploymentName(deployment), target, shadow=kind == "shadow")
        listing, _ = self._listing(assignment, expires)
        both = listing is not None and (listing.digest, listing.size) == (assignment.digest, assignment.size)
        return listing if both else None

    def _in_role(self, path: str, role: str, expires: dict[str, float]) -> TargetFile | None:
        """The target, where the library's walk and the file of `role` name the same."""
        found = self._known().get_targetinfo(path)
        said = self._said(role, expires)
        target = said.targets.get(path) if said else None
        return target if target == found else None

    def _said(self, role: str, expires: dict[str, float]) -> Targets | None:
        """By a role whose file is the one that the proven snapshot names; else None."""
        meta = self._read(Snapshot).meta.get(role + _SUFFIX)
        try:
            content = (self._folder / (role + _SUFFIX)).read_bytes()
            if meta is None:
                return None
            meta.verify_length_and_hashes(content)
            signed = Metadata[Targets].from_bytes(content).signed
        except (OSError, RepositoryError, DeserializationError):
            return None
        if signed.version != meta.version:
            return None
        expires[role] = signed.expires.timestamp()
        return signed

    def _read(self, role: type[T]) -> T:
        return Metadata[T].from_bytes((self._folder / (role.type + _SUFFIX)).read_bytes()).signed

    # ---- inside ----

    def _known(self) -> Updater:
        if self._updater is None:
            raise Retryable("signed metadata was not refreshed; it is soon")
        return self._updater

    def _sync(self) -> None:
        history = self._folder / _HISTORY
        for path in (*self._folder.glob("*" + _SUFFIX), *history.iterdir(), history, self._folder):
            files.sync_file(path)

    def _remove(self, *roles: str) -> None:
        with files.translated(self._folder):
            for role in roles:
                (self._folder / (role + _SUFFIX)).unlink(missing_ok=True)
            files.sync_directory(self._folder)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """The library's errors and the disk's → our errors, once."""
        with files.translated(self._folder):
            try:
                yield
            except DownloadError as error:
                raise _cause(error) from error
            except ExpiredMetadataError as error:
                raise Stale(freshness.expired(str(error), self._now())) from error
            except (RepositoryError, DeserializationError) as error:
                raise Untrusted(
                    f"signed metadata was refused: {error}; nothing is installed from there, and what answers goes on: "
                    "look for somebody in between"
                ) from error


class _Fetcher(FetcherInterface):
    """The library's names of files, handed to `get`; nothing is held in temporary files."""

    def __init__(self, get: Get) -> None:
        self.get = get

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """The library asks for as much as signed metadata says; a thief of keys may say anything."""
        try:
            return self.get(url.lstrip("/"), min(max_length, names.MOST_BYTES))
        except Absent as error:
            raise DownloadHTTPError(str(error), 404) from error
        except LongshoreError as error:
            raise DownloadError(str(error)) from error

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, _CONFIG.targets_max_length)


def _self_signed(content: bytes) -> Root:
    read = Metadata[Root].from_bytes(content)
    if read.signed.type != Root.type:
        raise RepositoryError("what is kept as root is none")
    read.signed.verify_delegate(Root.type, read.signed_bytes, read.signatures)
    return read.signed


def _successor(root: Root, content: bytes) -> Root:
    """TUF 5.3.4 to 5.3.6: signed by the root before it and by itself, and the next in order."""
    after = _self_signed(content)
    read = Metadata[Root].from_bytes(content)
    root.verify_delegate(Root.type, read.signed_bytes, read.signatures)
    if after.version != root.version + 1:
        raise RepositoryError(f"root version {after.version} came in place of {root.version + 1}")
    return after


def _facts(root: Root) -> RootFacts:
    told = [
        f"{role} {root.roles[role].threshold} {keyid}"
        for role in (Timestamp.type, Snapshot.type)
        for keyid in sorted(root.roles[role].keyids)
    ]
    return RootFacts(root.version, hashlib.sha256("\n".join(told).encode()).hexdigest())


def _assignment(deployment: DeploymentName, target: TargetFile, *, shadow: bool) -> Assignment:
    """The control plane's online key signed it: nonsense is no reason to blame a release."""
    try:
        return names.assignment(deployment, target.length, target.hashes, _custom(target), shadow=shadow)
    except Rejected as error:
        raise Untrusted(f"{target.path}: {error}; look who signs assignments") from error


def _listed(target: TargetFile) -> Listing:
    return names.listing(target.path, target.length, target.hashes, _custom(target))


def _described(target: TargetFile) -> Listing:
    try:
        return _listed(target)
    except Rejected as error:
        raise NotApproved("listing-malformed", f"{error}; sign it again, or update this box's agent") from error


def _highest_floor(said: Targets) -> int:
    """Of a model: that of its releases, and of those that are listed no more."""
    kept = said.unrecognized_fields.get(names.FLOOR, 0)
    floors = [_floor(each) for each in said.targets.values()]
    return max([kept, *floors]) if isinstance(kept, int) else max(floors, default=0)


def _floor(target: TargetFile) -> int:
    try:
        return _listed(target).floor
    except Rejected:
        return 0


def _custom(target: TargetFile) -> Mapping[str, Any]:
    custom = target.custom
    return custom if isinstance(custom, dict) else {}


def _cause(error: DownloadError) -> LongshoreError:
    cause = error.__cause__
    return cause if isinstance(cause, LongshoreError) else Retryable(f"signed metadata did not come: {error}")
