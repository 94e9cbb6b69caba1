"""One body for both databases: what the repository of signed metadata promises, and one writer at a time."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import tables
from controlplane.adapters.notary import FolderNotary
from controlplane.adapters.trust_files import first_documents
from controlplane.db import Database
from controlplane.errors import Conflict
from controlplane.fleet.repository import FleetRepository
from controlplane.signing.documents import Document
from controlplane.trust.judging import Registered
from controlplane.trust.proposals import ProposalService
from controlplane.trust.repository import KEEP_MS, KEEP_VERSIONS, PENDING, ProposalRepository, TrustRepository
from controlplane.trust.service import TrustService
from protos import trust
from protos.errors import Fatal, LongshoreError
from protos.ids import ModelName, Version, digest_of
from protos.trust import Listing
from tests.sim.clock import FakeClock

HARBOUR = (ModelName("harbour"), Version("1.0.0"))
DIGEST = digest_of(b"manifest")
LISTED = Listing(*HARBOUR, DIGEST, 8, 3, "detection", 2, ("x86_64-cpu",), "0.3.0", 1_795_000_000_000, "ann@quay")


def add(database: Database, role: str, version: int, now_ms: int = 0, *listings: Listing) -> None:
    with database.begin() as session:
        document = Document(role, version, 0, listings=listings)
        TrustRepository(session).add(document, f"{role} {version}".encode(), now_ms)


def release(database: Database) -> None:
    with database.begin() as session:
        session.add(tables.Model(name="harbour", created_ms=1))
        session.flush()
        row = {"model": "harbour", "version": "1.0.0", "digest": DIGEST, "manifest": b"manifest", "task": "detection"}
        session.add(tables.Release(name="harbour-1-0-0", created_ms=1, **row))


def test_the_newest_of_each_role_is_found_with_its_very_bytes(database: Database) -> None:
    for version in (9, 10, 1_795_000_000):
        add(database, trust.TIMESTAMP, version)
    add(database, trust.ROOT, 1)
    with database.read() as session:
        repository = TrustRepository(session)
        assert repository.newest() == {"root": b"root 1", "timestamp": b"timestamp 1795000000"}
        assert (repository.version(trust.TIMESTAMP), repository.version(trust.ASSIGN)) == (1_795_000_000, 0)
        assert repository.content(trust.TIMESTAMP, 9) == b"timestamp 9"
        assert repository.content(trust.TIMESTAMP, 8) is None


def test_what_a_model_lists_takes_the_place_of_what_it_listed(database: Database) -> None:
    other = replace(LISTED, model=ModelName("yard"))
    add(database, "model-harbour", 1, 0, LISTED)
    add(database, "model-yard", 1, 0, other)
    with database.read() as session:
        assert TrustRepository(session).listings() == {HARBOUR: LISTED, (other.model, other.version): other}
    add(database, "model-harbour", 2)
    with database.read() as session:
        assert TrustRepository(session).listings() == {(other.model, other.version): other}


def test_old_versions_go_when_nobody_can_be_half_way_through_them(database: Database) -> None:
    for version in range(1, KEEP_VERSIONS + 5):
        add(database, trust.SNAPSHOT, version, now_ms=version)
        add(database, trust.ROOT, version, now_ms=version)
    with database.begin() as session:
        repository = TrustRepository(session)
        repository.prune(trust.SNAPSHOT, KEEP_MS + 3)
        repository.prune(trust.ROOT, 1 << 50)
        assert [repository.content(trust.SNAPSHOT, version) is None for version in (1, 2, 3, 4)] == [
            True,
            True,
            False,
            False,
        ]
        assert repository.content(trust.ROOT, 1) is not None


def test_a_release_is_registered_with_the_length_of_its_manifest(database: Database) -> None:
    release(database)
    with database.read() as session:
        assert TrustRepository(session).releases() == {HARBOUR: Registered(DIGEST, 8, "detection")}


def test_unsigned_is_what_no_listing_names_with_its_digest(database: Database) -> None:
    release(database)
    with database.read() as session:
        assert FleetRepository(session).unsigned() == frozenset()  # nothing is signed in this fleet yet
    add(database, "model-harbour", 1, 0, replace(LISTED, digest=digest_of(b"other")))
    with database.read() as session:
        assert FleetRepository(session).unsigned() == {HARBOUR}
    add(database, "model-harbour", 2, 0, LISTED)
    with database.read() as session:
        assert FleetRepository(session).unsigned() == frozenset()


def test_of_two_control_planes_that_begin_at_once_with_keys_of_their_own_one_begins(
    database: Database, tmp_path: Path
) -> None:
    clock, together = FakeClock(), threading.Barrier(2)
    begun: list[str] = []
    refused: list[LongshoreError] = []

    def begin(name: str) -> None:
        folder = tmp_path / name

        def first() -> dict[str, bytes]:
            documents = first_documents(folder / "trust", folder / "keys", int(clock.unix()))
            together.wait(60)  # neither has found a root
            return documents

        try:
            TrustService(database, FolderNotary(folder / "trust"), clock).begin(first)
            begun.append(name)
        except LongshoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(begun) == 1
    assert isinstance(refused[0], Fatal)
    assert "another control plane began on this database just now" in str(refused[0])
    with database.read() as session:
        root = TrustRepository(session).newest()[trust.ROOT]
    assert root == (tmp_path / begun[0] / "keys" / "root.json").read_bytes()
    TrustService(database, FolderNotary(tmp_path / begun[0] / "trust"), clock).check_shared()


def test_one_that_comes_later_without_the_keys_does_not_start(database: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    first = TrustService(database, FolderNotary(tmp_path / "trust"), clock)
    first.begin(lambda: first_documents(tmp_path / "trust", tmp_path / "keys", int(clock.unix())))
    later = TrustService(database, FolderNotary(tmp_path / "later"), clock)
    assert not later.begin(lambda: first_documents(tmp_path / "later", tmp_path / "more", int(clock.unix())))
    assert not (tmp_path / "more").exists()
    with pytest.raises(Fatal, match=r"begun elsewhere, and none of its online keys is here; put copies of the other's"):
        later.check_shared()


def test_replicas_that_sign_at_once_sign_one_after_the_other(database: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    notary = FolderNotary(tmp_path / "trust")
    services = [TrustService(database, notary, clock) for _ in range(4)]
    services[0].begin(lambda: first_documents(tmp_path / "trust", tmp_path / "keys", int(clock.unix())))
    clock.tick(5 * 86_400)
    failed: list[LongshoreError] = []

    def sign(service: TrustService) -> None:
        try:
            service.keep_fresh()
        except LongshoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=sign, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    with database.read() as session:
        rows = session.query(tables.SignedDocument).filter_by(role=trust.TIMESTAMP).count()
    assert rows == 2  # the first one, and one for all four


def propose(database: Database, name: str, created_ms: int, expires_ms: int = 100, **more: object) -> None:
    about = {"who": "ann", "documents": {"root": "{}"}, "withdrawn": [], "state": PENDING} | more
    with database.begin() as session:
        session.add(tables.Proposal(id=name, created_ms=created_ms, expires_ms=expires_ms, **about))


def test_proposals_are_listed_oldest_first_while_they_wait(database: Database) -> None:
    propose(database, "b", 2)
    propose(database, "a", 1)
    propose(database, "late", 0, expires_ms=50)
    propose(database, "closed", 0, state="cancelled", closed_ms=10)
    with database.read() as session:
        repository = ProposalRepository(session)
        assert [row.id for row in repository.pending(50)] == ["a", "b"]
        assert [row.id for row in repository.lapsed(50)] == ["late"]
        found = repository.row("a")
        assert found is not None
        assert (found.documents, found.closed_by) == ({"root": "{}"}, "")
        assert repository.row("none") is None


def test_a_proposal_is_forgotten_long_after_it_was_closed_and_never_while_it_waits(database: Database) -> None:
    propose(database, "waits", 0)
    propose(database, "old", 0, state="published", closed_ms=10)
    propose(database, "new", 0, state="lapsed", closed_ms=20)
    with database.begin() as session:
        ProposalRepository(session).forget(20)
    with database.read() as session:
        left = [name for name in ("waits", "old", "new") if ProposalRepository(session).row(name)]
    assert left == ["waits", "new"]


def test_a_proposal_is_not_cancelled_while_somebody_publishes_it(database: Database, tmp_path: Path) -> None:
    clock = FakeClock(unix=0)
    services = TrustService(database, FolderNotary(tmp_path / "trust"), clock)
    add(database, "root", 1)
    propose(database, "it", 0)
    told: list[str] = []

    def cancel() -> None:
        try:
            ProposalService(database, services, clock).cancel("it", "bo")
            told.append("cancelled")
        except Conflict as error:
            told.append(str(error))

    canceller = threading.Thread(target=cancel)
    with database.begin() as session:
        TrustRepository(session).lock()
        canceller.start()
        canceller.join(0.5)  # as far as it comes meanwhile
        row = ProposalRepository(session).row("it")
        assert row is not None
        row.state, row.closed_ms, row.closed_by = "published", 1, "ann"
    canceller.join(60)
    assert told == ["proposal it was published by ann and never comes back; propose it anew"]


def test_a_proposal_does_not_lapse_while_somebody_publishes_it(database: Database, tmp_path: Path) -> None:
    clock = FakeClock(unix=1)
    services = TrustService(database, FolderNotary(tmp_path / "trust"), clock)
    add(database, "root", 1)
    propose(database, "it", 0)
    sweeper = threading.Thread(target=ProposalService(database, services, clock).sweep)
    with database.begin() as session:
        TrustRepository(session).lock()
        row = ProposalRepository(session).row("it")
        assert row is not None
        row.state, row.closed_ms, row.closed_by = "published", 1, "ann"
        session.flush()
        sweeper.start()
        sweeper.join(0.5)  # as far as it comes meanwhile
    sweeper.join(60)
    with database.read() as session:
        found = ProposalRepository(session).row("it")
        assert found is not None
        assert (found.state, found.closed_by) == ("published", "ann")
