"""The online keys and what they sign: `<state>/controlplane/trust/`, keys readable by us only.

online.key, online-<id>.key   the first one, and those that a rotation made
*.uri                         where others lie

Which of them sign a role, root and targets say; one that they never named yet waits there for a rotation to name it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from controlplane.adapters.keys_elsewhere import KeysElsewhere
from controlplane.files import private_folder
from controlplane.signing import metadata, online
from controlplane.signing.documents import Document, Keys, delegator
from controlplane.signing.keys import Signer, new_key, read_key, write_key
from controlplane.trust.ports import PublicKey
from protos import trust
from protos.errors import Rejected, Retryable
from protos.trust import Assignment

MOST_REMEMBERED = 16 << 20  # bytes of documents; what they say takes three times as much
log = logging.getLogger(__name__)
_Question = tuple[str, bytes, bytes, str]  # of metadata.read


class _Remembered:
    """The same documents are looked at with every change. Those looked at last are kept, within a bound of bytes."""

    def __init__(self) -> None:
        self._known: dict[_Question, Document] = {}
        self._bytes = 0
        self._turn = threading.Lock()

    def __call__(self, *question: *_Question) -> Document:
        with self._turn:
            found = self._known.pop(question, None)
            if found is not None:
                self._known[question] = found
                return found
        found = metadata.read(*question)
        with self._turn:
            self._keep(question, found)
        return found

    def _keep(self, question: _Question, found: Document) -> None:
        if question not in self._known:
            self._bytes += len(question[1])
        self._known[question] = found
        while self._bytes > MOST_REMEMBERED:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._bytes -= len(oldest[1])


class FolderNotary:
    """Implements controlplane.trust.ports.Notary."""

    def __init__(self, folder: Path, pin: str = "") -> None:
        """`pin`: of a token that holds online keys."""
        self._folder = private_folder(folder)
        self._elsewhere = KeysElsewhere(self._folder, pin)
        self._seen: set[str] = set()  # ids of keys that were named once
        self._read = _Remembered()

    def read(self, contents: Mapping[str, bytes], role: str, by: bytes | None = None) -> Document:
        above = delegator(role)
        if above not in contents:
            raise Rejected(f"{role}.json came before {above}.json, which says who may sign it")
        return self._read(role, contents[role], by or contents[above], above)

    def able(self, contents: Mapping[str, bytes], role: str) -> bool:
        trusted = self._trusted(contents, role)
        return len(trusted.ids & self._held().keys()) >= trusted.threshold

    def sign(
        self, contents: Mapping[str, bytes], role: str, wanted: Iterable[Assignment], now: int, life: int
    ) -> bytes:
        try:
            return self._signed(contents, role, wanted, now, life)
        except Rejected as error:
            raise Retryable(str(error)) from error

    def _signed(
        self, contents: Mapping[str, bytes], role: str, wanted: Iterable[Assignment], now: int, life: int
    ) -> bytes:
        held, trusted = self._held(), self._trusted(contents, role)
        signers = [held[each] for each in sorted(trusted.ids & held.keys())]
        if len(signers) < trusted.threshold:
            raise Retryable("a key that signs it is away")
        last = metadata.parsed(role, contents[role]).signed.version if role in contents else 0
        if role == trust.ASSIGN:
            return online.assign(wanted, last, signers, now, life)
        if role == trust.SNAPSHOT:
            return online.snapshot(_named(contents), last, signers, now, life)
        return online.timestamp(_version(contents, trust.SNAPSHOT), last, signers, now, life)

    def new_key(self) -> PublicKey:
        key = new_key()
        public = key.public_key
        write_key(self._folder / f"online-{public.keyid[:12]}.key", key)
        return PublicKey(public.keyid, public.to_dict())

    def forget_unused(self, contents: Mapping[str, bytes]) -> None:
        named = set[str]().union(*(self._trusted(contents, role).ids for role in trust.ONLINE))
        for path, signer in self._files():
            if (key := signer.public_key.keyid) in self._seen - named:
                _delete(path)
                self._seen.discard(key)
        self._seen |= named

    def _held(self) -> dict[str, Signer]:
        return self._elsewhere.signers() | {key.public_key.keyid: key for _, key in self._files()}

    def _files(self) -> Iterator[tuple[Path, Signer]]:
        """One that cannot be read is away, as one elsewhere is: others sign on."""
        for path in sorted(self._folder.glob("*.key")):
            try:
                yield path, read_key(path)
            except Rejected as error:
                log.error("an online key is away, and what it signs waits: %s", error)

    def _trusted(self, contents: Mapping[str, bytes], role: str) -> Keys:
        above = delegator(role)
        return self.read(contents, above).delegated.get(role, Keys())


def _delete(path: Path) -> None:
    """A folder that only others may write, such as a Secret that is mounted, must not end the control plane."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s signs nothing any more and cannot be deleted (%s); delete it by hand", path, error.strerror)


def _version(contents: Mapping[str, bytes], role: str) -> tuple[int, bytes]:
    return metadata.parsed(role, contents[role]).signed.version, contents[role]


def _named(contents: Mapping[str, bytes]) -> dict[str, tuple[int, bytes]]:
    above = (trust.ROOT, trust.SNAPSHOT, trust.TIMESTAMP)
    return {role: _version(contents, role) for role in contents if role not in above}
