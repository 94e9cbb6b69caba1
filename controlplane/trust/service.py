"""Use cases of signed metadata: serve it, take what was signed elsewhere, sign what is the control plane's.

Every change ends with `publish`, in the transaction of whatever changed, under one lock for all replicas: what
Deployments want, what release keys listed, and what boxes are served never differ after a commit. Offline and release
keys are nowhere here. Blocking and thread-safe.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.db import Database, Session
from controlplane.errors import NotFound
from controlplane.fleet.repository import FleetRepository
from controlplane.ports import Clock
from controlplane.settings.repository import SettingsRepository
from controlplane.signing.documents import Document, delegator
from controlplane.trust import due, judging
from controlplane.trust.judging import Registered, Upload
from controlplane.trust.ports import Notary, PublicKey
from controlplane.trust.repository import TrustRepository
from protos import trust
from protos.errors import Fatal, Rejected, Retryable
from protos.ids import ModelName, Version
from protos.trust import Listing

log = logging.getLogger(__name__)
_FILE = re.compile(r"(?:([1-9][0-9]{0,15})\.)?([a-z0-9-]{1,80})\.json")
SHARE = (
    "put copies of the other's ca, trust and grant.key in place of those in this state folder, and start again: see "
    "docs/operations.md"
)
_NEWEST = (trust.TIMESTAMP, trust.ROOT)  # what is asked for without a number


@dataclass(frozen=True)
class Role:
    """One role as people see it."""

    document: Document
    keys: tuple[str, ...]  # ids, of which `document.threshold` must sign
    created_ms: int
    held: bool  # whether this control plane could sign it now; of online roles


class TrustService:
    def __init__(self, database: Database, notary: Notary, clock: Clock) -> None:
        self._database = database
        self._notary = notary
        self._clock = clock

    # ---- what boxes fetch ----

    def file(self, name: str) -> bytes:
        """`timestamp.json`, `root.json` (the newest), `N.<role>.json`. Raises NotFound."""
        found = _FILE.fullmatch(name)
        if found and (found[1] or found[2] in _NEWEST):
            with self._database.read() as session:
                repository = TrustRepository(session)
                version = int(found[1]) if found[1] else repository.version(found[2])
                content = repository.content(found[2], version)
            if content is not None:
                return content
        raise NotFound(f"there is no signed metadata {name!r}; timestamp.json leads to what there is")

    def root(self) -> bytes:
        """The newest; empty before there is any."""
        with self._database.read() as session:
            return TrustRepository(session).newest().get(trust.ROOT, b"")

    def version(self, session: Session) -> int:
        """Of the newest timestamp; 0 before there is one."""
        return TrustRepository(session).version(trust.TIMESTAMP)

    # ---- what people see ----

    def roles(self) -> list[Role]:
        """Newest documents, by role."""
        with self._database.read() as session:
            rows = TrustRepository(session).newest_rows()
        contents = {row.role: row.content for row in rows}
        return [self._role(contents, row.role, row.created_ms) for row in rows]

    def _role(self, contents: Mapping[str, bytes], role: str, created_ms: int) -> Role:
        trusted = self._notary.read(contents, delegator(role)).delegated[role]
        held = role in trust.ONLINE and self._notary.able(contents, role)
        return Role(self._notary.read(contents, role), tuple(sorted(trusted.ids)), created_ms, held)

    def listings(self) -> dict[tuple[ModelName, Version], Listing]:
        with self._database.read() as session:
            return TrustRepository(session).listings()

    # ---- what comes from outside ----

    def begin(self, first: Callable[[], Mapping[str, bytes]]) -> bool:
        """Take the first documents, where there are none yet; whether that was now. Of two that begin, one does.

        Raises:
            Rejected: what is first breaks a rule.
            Fatal: another control plane on this database began a moment before.
        """
        with self._database.read() as session:
            if TrustRepository(session).version(trust.ROOT):
                return False
        documents = first()
        try:
            self.take(documents)
        except Rejected as error:
            if self.root() in (b"", documents[trust.ROOT]):
                raise
            raise Fatal(f"another control plane began on this database just now, with other keys; {SHARE}") from error
        return True

    def check_shared(self) -> None:
        """This one signs what others on the same database sign. Raises Fatal where it has none of their keys."""
        with self._database.read() as session:
            contents = TrustRepository(session).newest()
        if not any(self._notary.able(contents, role) for role in trust.ONLINE):
            raise Fatal(
                f"this database's signed metadata was begun elsewhere, and none of its online keys is here; {SHARE}; "
                "where they are lost, start with --without-online-keys and run 'longshore keys rotate'"
            )

    def take(self, documents: Mapping[str, bytes], withdrawn: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Keep signed documents, by role, all or none, and publish what follows; the roles that were new.

        `withdrawn`: paths of releases that may vanish. What is here already is no news.

        Raises:
            Rejected: with the file and the rule it breaks. Nothing is kept.
            Conflict: somebody else signed meanwhile.
        """
        with self._database.begin() as session:
            return self.keep(session, documents, withdrawn)

    def keep(
        self, session: Session, documents: Mapping[str, bytes], withdrawn: frozenset[str] = frozenset()
    ) -> tuple[str, ...]:
        """As `take`, in the caller's transaction."""
        repository = TrustRepository(session)
        repository.lock()
        contents = repository.newest()
        new = {role: content for role, content in documents.items() if contents.get(role) != content}
        if new:
            upload = self._upload(contents, new, withdrawn, repository.releases())
            judging.judge(upload)
            for role in sorted(new):
                repository.add(upload.after[role], new[role], self._now_ms())
                repository.prune(role, self._now_ms())
            self._settle(session, contents | new)
        return tuple(sorted(new))

    def weigh(self, session: Session, documents: Mapping[str, bytes], withdrawn: frozenset[str]) -> None:
        """Whether they could be taken once they are signed. Raises Rejected, Conflict."""
        repository = TrustRepository(session)
        upload = self._upload(repository.newest(), documents, withdrawn, repository.releases())
        judging.judge(upload, proposed=True)

    def _upload(
        self,
        contents: Mapping[str, bytes],
        new: Mapping[str, bytes],
        withdrawn: frozenset[str],
        releases: Mapping[tuple[ModelName, Version], Registered],
    ) -> Upload:
        """The state with `new`. Raises Rejected."""
        merged = {**contents, **new}
        old_root = contents.get(trust.ROOT, new.get(trust.ROOT))
        return Upload(
            roles=frozenset(new),
            before={role: self._notary.read(contents, role) for role in contents},
            after={role: self._notary.read(merged, role) for role in merged if role not in trust.ONLINE},
            root_by_old=self._notary.read(merged, trust.ROOT, old_root) if trust.ROOT in new else None,
            releases=releases,
            withdrawn=withdrawn,
            able=frozenset(role for role in trust.ONLINE if self._notary.able(merged, role)),
            now=self._now_ms() // 1000,
        )

    def new_online_key(self) -> PublicKey:
        """A key pair of this control plane; it signs once an uploaded root or targets names it. Raises Fatal."""
        return self._notary.new_key()

    # ---- what is signed here ----

    def publish(self, session: Session) -> None:
        """Sign what is due, in the caller's transaction. Without a key that may, all stays as it is and is logged.

        Raises Rejected: it would be longer than what boxes read.
        """
        repository = TrustRepository(session)
        repository.lock()
        self._settle(session, repository.newest())

    def keep_fresh(self) -> None:
        """Publish in a transaction of its own; cheap when nothing is due. Raises Retryable."""
        with self._database.read() as session:
            idle = not self._due(session, TrustRepository(session).newest(), _lives(session))[1]
        if not idle:
            with self._database.begin() as session:
                self.publish(session)

    def _settle(self, session: Session, contents: Mapping[str, bytes]) -> None:
        contents = dict(contents)
        lives = _lives(session)
        wanted, roles = self._due(session, contents, lives)
        for role in roles:
            if not self._notary.able(contents, role):
                log.error("no key here may sign %s; see 'longshore keys', and docs/operations.md for what to do", role)
                return
            try:
                contents[role] = self._notary.sign(contents, role, wanted, self._now_ms() // 1000, lives[role])
            except Retryable as error:
                log.error("%s is signed later: %s", role, error)
                return
            made = self._notary.read(contents, role)
            judging.check_size(made)
            repository = TrustRepository(session)
            repository.add(made, contents[role], self._now_ms())
            repository.prune(role, self._now_ms())

    def _due(
        self, session: Session, contents: Mapping[str, bytes], lives: Mapping[str, int]
    ) -> tuple[due.Wanted, tuple[str, ...]]:
        if trust.ROOT not in contents:
            return (), ()
        repository = TrustRepository(session)
        digests = {key: found.digest for key, found in repository.releases().items()}
        wanted = due.assignments(FleetRepository(session).deployments(), repository.listings(), digests)
        documents = {role: self._notary.read(contents, role) for role in contents}
        return wanted, due.due(documents, wanted, self._now_ms() // 1000, lives)

    def forget_unused_keys(self) -> None:
        """Of a rotation that is over. Raises Retryable."""
        with self._database.read() as session:
            contents = TrustRepository(session).newest()
        if contents:
            self._notary.forget_unused(contents)

    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


def _lives(session: Session) -> Mapping[str, int]:
    """Of what is signed online, in seconds, by role."""
    return SettingsRepository(session).spec().metadata.seconds
