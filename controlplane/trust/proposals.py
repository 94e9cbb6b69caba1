"""Use cases of proposals: documents that one holder of a key signed and that wait for others, until enough did.

A proposal is named by what is to be signed, so that no signature can be moved to anything else; one that was published,
cancelled or let lapse never comes back under its id. Whoever adds the last signature publishes, in one transaction and
by the same judgement as any upload. Blocking and thread-safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from controlplane import tables
from controlplane.db import Database, Session
from controlplane.errors import Conflict, NotFound
from controlplane.ports import Clock
from controlplane.signing import changes, counting, proposal
from controlplane.signing.counting import Need
from controlplane.signing.proposal import SHORT, Signatures
from controlplane.trust.judging import AGAIN
from controlplane.trust.repository import PENDING, ProposalRepository, TrustRepository
from controlplane.trust.service import TrustService
from protos.errors import Rejected

LIVES_MS = 14 * 86_400_000  # as long as two people need to meet
REMEMBERED_MS = 400 * 86_400_000  # closed ones: longer than any signature in them is good for
PUBLISHED, CANCELLED, LAPSED = "published", "cancelled", "lapsed"


@dataclass(frozen=True)
class Proposal:
    """`needs` and `changes` are against what is published now; `trouble`: why it can be published no more."""

    id: str
    who: str
    created_ms: int
    expires_ms: int
    state: str
    documents: Mapping[str, bytes]
    withdrawn: frozenset[str]
    needs: tuple[Need, ...] = ()
    changes: tuple[str, ...] = ()
    trouble: str = ""


class ProposalService:
    def __init__(self, database: Database, trust: TrustService, clock: Clock) -> None:
        self._database = database
        self._trust = trust
        self._clock = clock

    def pending(self) -> list[Proposal]:
        """Oldest first."""
        with self._database.read() as session:
            before = TrustRepository(session).newest()
            return [self._seen(session, row, before) for row in ProposalRepository(session).pending(self._now_ms)]

    def waiting(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Id, proposer and roles of each, and nothing proven: for what is asked every second."""
        with self._database.read() as session:
            found = ProposalRepository(session).pending(self._now_ms)
            return [(row.id, row.who, tuple(sorted(row.documents))) for row in found]

    def one(self, name: str) -> Proposal:
        """Raises NotFound, Conflict: it is closed."""
        with self._database.read() as session:
            return self._seen(session, self._open(session, name), TrustRepository(session).newest())

    def propose(self, documents: Mapping[str, bytes], withdrawn: frozenset[str], who: str) -> tuple[Proposal, bool]:
        """Keep documents that bear too few signatures, or publish them where they are enough; whether that was new.

        Raises:
            Rejected: they break a rule, nobody who may has signed them, or one of them waits in another proposal.
            Conflict: they were made of what is no longer newest, or are of a proposal that is closed.
        """
        with self._database.begin() as session:
            TrustRepository(session).lock()
            before = TrustRepository(session).newest()
            self._trust.weigh(session, documents, withdrawn)
            documents = proposal.counted(before, documents)
            changes.told(before, documents)  # what could not be shown to the others is refused now
            name = proposal.identity(documents, withdrawn)
            new = ProposalRepository(session).row(name) is None
            if new:
                self._check_alone(session, documents)
                self._add(session, name, documents, withdrawn, who)
            return self._settled(session, self._open(session, name), before, who), new

    def sign(self, name: str, signatures: Signatures, who: str) -> Proposal:
        """Add signatures; published where they are enough.

        Raises:
            NotFound: there is none of that id.
            Conflict: it is closed, or was overtaken by what others signed.
            Rejected: a signature does not count.
        """
        with self._database.begin() as session:
            TrustRepository(session).lock()
            row, before = self._open(session, name), TrustRepository(session).newest()
            self._check_current(session, row)
            joined = proposal.joined(before, _documents(row), signatures)
            row.documents = {role: content.decode() for role, content in joined.items()}
            return self._settled(session, row, before, who)

    def cancel(self, name: str, who: str) -> None:
        """Raises NotFound, Conflict: it is closed already."""
        with self._database.begin() as session:
            TrustRepository(session).lock()  # who cancelled it was told so: nobody publishes it at the same moment
            self._close(self._open(session, name), CANCELLED, who)

    def sweep(self) -> None:
        """Let lapse what waited too long, forget what was closed long ago. Raises Retryable."""
        with self._database.begin() as session:
            TrustRepository(session).lock()
            repository = ProposalRepository(session)
            for row in repository.lapsed(self._now_ms):
                self._close(row, LAPSED, "")
            repository.forget(self._now_ms - REMEMBERED_MS)

    # ---- inside ----

    def _open(self, session: Session, name: str) -> tables.Proposal:
        row = ProposalRepository(session).row(name)
        if row is None:
            raise NotFound(f"there is no proposal {name[:SHORT]}; 'longshore keys pending' lists them")
        if row.state != PENDING:
            raise _closed(row)
        if row.expires_ms <= self._now_ms:
            raise Conflict(f"proposal {name[:SHORT]} waited too long; propose it again")
        return row

    def _check_alone(self, session: Session, documents: Mapping[str, bytes]) -> None:
        """Of two proposals for one document the second to be signed would be worth nothing."""
        for row in ProposalRepository(session).pending(self._now_ms):
            shared = sorted(row.documents.keys() & documents.keys())
            if shared and not self._trouble(session, row):
                raise Rejected(
                    f"{shared[0]}.json waits for signatures already, in proposal {row.id[:SHORT]} by {row.who}: sign "
                    "that ('longshore keys sign'), or cancel it first"
                )

    def _add(
        self, session: Session, name: str, documents: Mapping[str, bytes], withdrawn: frozenset[str], who: str
    ) -> None:
        row = tables.Proposal(
            id=name,
            documents={role: content.decode() for role, content in documents.items()},
            withdrawn=sorted(withdrawn),
            who=who,
            created_ms=self._now_ms,
            expires_ms=self._now_ms + LIVES_MS,
            state=PENDING,
        )
        session.add(row)
        session.flush()

    def _check_current(self, session: Session, row: tables.Proposal) -> None:
        if trouble := self._trouble(session, row):
            raise Conflict(f"proposal {row.id[:SHORT]} was overtaken ({trouble}): cancel it and propose again")

    def _trouble(self, session: Session, row: tables.Proposal) -> str:
        try:
            self._trust.weigh(session, _documents(row), frozenset(row.withdrawn))
        except Rejected as error:
            return str(error).removesuffix(f"; {AGAIN}")
        return ""

    def _settled(self, session: Session, row: tables.Proposal, before: Mapping[str, bytes], who: str) -> Proposal:
        """As it stands after a signature: published, or still waiting."""
        seen = self._seen(session, row, before)
        if counting.missing(counting.needs(before, seen.documents)):
            return seen
        self._trust.keep(session, seen.documents, seen.withdrawn)
        self._close(row, PUBLISHED, who)
        return replace(seen, state=PUBLISHED)

    def _seen(self, session: Session, row: tables.Proposal, before: Mapping[str, bytes]) -> Proposal:
        documents = _documents(row)
        about = (row.id, row.who, row.created_ms, row.expires_ms, row.state)
        seen = Proposal(*about, documents, frozenset(row.withdrawn), trouble=self._trouble(session, row))
        if seen.trouble:
            return seen
        return replace(seen, needs=counting.needs(before, documents), changes=tuple(changes.told(before, documents)))

    def _close(self, row: tables.Proposal, state: str, who: str) -> None:
        row.state, row.closed_ms, row.closed_by, row.documents = state, self._now_ms, who, {}

    @property
    def _now_ms(self) -> int:
        return int(self._clock.unix() * 1000)


def _documents(row: tables.Proposal) -> dict[str, bytes]:
    return {role: text.encode() for role, text in row.documents.items()}


def _closed(row: tables.Proposal) -> Conflict:
    by = f" by {row.closed_by}" if row.closed_by else ""
    return Conflict(f"proposal {row.id[:SHORT]} was {row.state}{by} and never comes back; propose it anew")
