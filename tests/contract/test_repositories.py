"""What the repositories of identity and registry promise, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import tables
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.audit.domain import Entry
from controlplane.audit.repository import AuditRepository
from controlplane.config import Config
from controlplane.db import Database
from controlplane.errors import Conflict
from controlplane.fleet.objects import Meta
from controlplane.identity.domain import Admission, StoredCertificate, StoredToken, Wish
from controlplane.identity.repository import IdentityRepository
from controlplane.identity.roles import Role
from controlplane.identity.service import IdentityService
from controlplane.people.repository import PeopleRepository
from controlplane.registry.domain import Upload
from controlplane.registry.repository import RegistryRepository
from controlplane.trust.ports import Issued
from protos import manifest as manifests
from protos.errors import LongshoreError, Rejected
from protos.ids import ModelName, NodeId, Version, digest_of
from tests.sim import joining, releases
from tests.sim.clock import FakeClock

NOW = 1_795_000_000_000
QUAY = NodeId("quay-1")
TOKEN = StoredToken("abcdefgh", "h" * 64, QUAY, {"site": "hamburg"}, "edge", NOW + 1000)
ADMISSION = Admission(QUAY, {"site": "hamburg"}, "edge", rejoin=True)


def issued(serial: str) -> Issued:
    return Issued(pem="", serial=serial, fingerprint=serial * 8, public_key=f"key-{serial}", not_after_ms=NOW + 9)


# ---- join tokens ----


def test_a_token_comes_back_as_it_was_stored(database: Database) -> None:
    with database.begin() as session:
        IdentityRepository(session).add_token(TOKEN, NOW)
    with database.read() as session:
        assert IdentityRepository(session).token(TOKEN.id) == TOKEN
        assert IdentityRepository(session).token("unknown1") is None


def test_a_spent_token_says_when_and_by_whom(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_token(TOKEN, NOW)
        repository.spend_token(TOKEN.id, QUAY, NOW + 5)
    with database.read() as session:
        assert IdentityRepository(session).token(TOKEN.id) == replace(TOKEN, used_ms=NOW + 5, used_by=QUAY)


def test_tokens_are_listed_newest_first_and_deleted_once(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_token(TOKEN, NOW)
        repository.add_token(replace(TOKEN, id="ijklmnop"), NOW + 1)
    with database.begin() as session:
        repository = IdentityRepository(session)
        assert [token.id for token in repository.tokens()] == ["ijklmnop", "abcdefgh"]
        assert [repository.delete_token("ijklmnop") for _ in range(2)] == [True, False]


def test_of_ten_boxes_with_one_token_one_gets_in(database: Database, tmp_path: Path, clock: FakeClock) -> None:
    authority = LocalAuthority(*new_ca(clock.unix()))
    identity = IdentityService(database, authority, clock, Config(state=tmp_path))
    token = identity.create_join_token(None, {}, "edge", None).text
    results: list[str] = []

    def join(number: int) -> None:
        try:
            wish = Wish(f"box-{number}")
            results.append(identity.enrol(token, joining.new_request(), wish, f"10.0.0.{number}").node)
        except LongshoreError as error:
            results.append(str(error))

    threads = [threading.Thread(target=join, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    let_in = [result for result in results if result.startswith("box-")]
    assert len(let_in) == 1
    assert sum(f"used already, by {let_in[0]}" in result for result in results) == 9


# ---- nodes and certificates ----


def test_a_certificate_names_its_node_until_it_is_revoked(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.admit_node(ADMISSION, NOW)
        repository.add_certificate(QUAY, issued("aa"), NOW)
        assert repository.certificate(issued("aa").fingerprint) == StoredCertificate(QUAY, NOW + 9)
        assert repository.has_key(QUAY, "key-aa")
        repository.revoke_certificates(QUAY, NOW + 1)
        repository.add_certificate(QUAY, issued("bb"), NOW + 1)
    with database.read() as session:
        repository = IdentityRepository(session)
        assert repository.certificate(issued("aa").fingerprint) is None
        assert repository.certificate(issued("bb").fingerprint) == StoredCertificate(QUAY, NOW + 9)
        assert [repository.has_key(QUAY, key) for key in ("key-aa", "key-bb")] == [False, True]
        assert not repository.has_key(NodeId("quay-2"), "key-bb")


def test_tokens_and_certificates_are_forgotten_by_their_end(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_token(TOKEN, NOW)
        repository.admit_node(ADMISSION, NOW)
        repository.add_certificate(QUAY, issued("aa"), NOW)
        repository.forget_boxes(TOKEN.expires_ms, NOW + 9)
        assert repository.token(TOKEN.id) is not None
        assert repository.certificate(issued("aa").fingerprint) is not None
        repository.forget_boxes(TOKEN.expires_ms + 1, NOW + 10)
        assert repository.token(TOKEN.id) is None
        assert repository.certificate(issued("aa").fingerprint) is None


def test_a_node_that_joins_again_keeps_its_spec_and_uid(database: Database) -> None:
    with database.begin() as session:
        IdentityRepository(session).admit_node(ADMISSION, NOW)
        session.get_one(tables.Node, QUAY).spec = {"paused": True}
    with database.begin() as session:
        before = session.get_one(tables.Node, QUAY)
        uid, version = before.uid, before.resource_version
        IdentityRepository(session).admit_node(replace(ADMISSION, labels={"berth": "7"}), NOW + 9)
    with database.read() as session:
        after = session.get_one(tables.Node, QUAY)
        assert (after.uid, after.spec, after.created_ms) == (uid, {"paused": True}, NOW)
        assert after.labels == {"site": "hamburg", "berth": "7"}
        assert after.resource_version == version + 1


def test_a_deleted_node_exists_no_more_and_returns_without_its_old_labels(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.admit_node(ADMISSION, NOW)
        repository.add_certificate(QUAY, issued("aa"), NOW)
        session.get_one(tables.Node, QUAY).deleted_ms = NOW + 1
    with database.begin() as session:
        repository = IdentityRepository(session)
        assert not repository.node_exists(QUAY)
        assert repository.certificate(issued("aa").fingerprint) is None
        uid = session.get_one(tables.Node, QUAY).uid
        repository.admit_node(replace(ADMISSION, labels={}), NOW + 2)
        assert repository.node_exists(QUAY)
        back = session.get_one(tables.Node, QUAY)
        assert (back.labels, back.uid == uid, back.created_ms) == ({}, False, NOW + 2)


# ---- people ----


def test_a_revoked_api_token_is_known_and_shown_no_more(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_api_token(tables.ApiToken(id="a", name="ci", secret_hash="h" * 64, created_ms=NOW))
        assert [repository.revoke_api_token("a", NOW + 1) for _ in range(2)] == [True, False]
        assert repository.api_tokens() == []
        known = repository.api_token("h" * 64)
        assert known is not None
        assert known.revoked_ms == NOW + 1


def test_a_sign_in_code_is_good_once(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_code("c" * 64, "ann", NOW + 10)
        repository.add_code("d" * 64, "ann", NOW + 10)
    with database.begin() as session:
        repository = IdentityRepository(session)
        assert [repository.spend_code("c" * 64, NOW) for _ in range(2)] == ["ann", None]
        assert repository.spend_code("d" * 64, NOW + 10) is None


def test_of_ten_browsers_with_one_code_one_is_signed_in(database: Database) -> None:
    with database.begin() as session:
        IdentityRepository(session).add_code("c" * 64, "ann", NOW + 10)
    results: list[str | None] = []

    def spend() -> None:
        with database.begin() as session:
            results.append(IdentityRepository(session).spend_code("c" * 64, NOW))

    threads = [threading.Thread(target=spend) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results.count(None), results.count("ann")) == (9, 1)


def test_a_session_is_good_until_it_expires_or_ends(database: Database) -> None:
    with database.begin() as session:
        repository = IdentityRepository(session)
        repository.add_session(tables.Session(hash="s" * 64, person="ann", created_ms=NOW, expires_ms=NOW + 10))
        good = repository.good_session("s" * 64, NOW + 9)
        assert good is not None
        assert good.person == "ann"
        assert repository.good_session("s" * 64, NOW + 10) is None
        repository.delete_session("s" * 64)
        assert repository.good_session("s" * 64, NOW) is None


def test_who_is_removed_loses_sessions_links_and_tokens_and_nobody_else_does(database: Database) -> None:
    with database.begin() as session:
        people, identity = PeopleRepository(session, NOW), IdentityRepository(session)
        for name in ("ann", "bob"):
            people.save(name, Role.VIEWER, Meta(uid=name, created_unix_ms=NOW))
            made = {"person": name, "created_ms": NOW}
            identity.add_api_token(tables.ApiToken(id=name, name="laptop", secret_hash=name, **made))
            identity.add_session(tables.Session(hash=name, id=name, expires_ms=NOW + 10, last_used_ms=NOW + 1, **made))
            identity.add_code(f"code of {name}", name, NOW + 10)
    with database.begin() as session:
        assert PeopleRepository(session, NOW).seen("ann") == (NOW + 1, 1, 1)
        PeopleRepository(session, NOW).delete("ann")
    with database.begin() as session:
        people, identity = PeopleRepository(session, NOW), IdentityRepository(session)
        assert [row.name for row in people.rows()] == ["bob"]
        assert (people.seen("ann"), people.seen("bob")) == ((None, 0, 0), (NOW + 1, 1, 1))
        assert [identity.spend_code(f"code of {name}", NOW) for name in ("ann", "bob")] == [None, "bob"]


def test_the_audit_gives_the_newest_first_and_forgets_the_oldest(database: Database) -> None:
    with database.begin() as session:
        for number in range(3):
            AuditRepository(session).add(Entry(NOW + number, "ann", "browser", "admin", "delete", f"cameras/{number}"))
    with database.begin() as session:
        audit = AuditRepository(session)
        assert [row.object for row in audit.newest(NOW + 1, "ann", 10)] == ["cameras/2", "cameras/1"]
        audit.forget(NOW + 2)
        assert [row.object for row in audit.newest(0, "", 10)] == ["cameras/2"]


# ---- what no database may make a mistake of ours ----


def test_a_text_no_database_can_hold_is_the_sender_s_fault_or_comes_back_whole(database: Database) -> None:
    odd = "a\x00b"
    try:
        with database.begin() as session:
            camera = tables.Camera(name="c", node_id=QUAY, source=odd, rate=1.0, created_ms=NOW)
            session.add(camera)
    except Rejected:
        return
    with database.read() as session:
        assert session.get_one(tables.Camera, "c").source == odd


# ---- registry ----


def store(database: Database, version: str) -> releases.MadeRelease:
    made = releases.make(version)
    with database.begin() as session:
        RegistryRepository(session).add_release(manifests.parse(made.manifest), made.manifest, {}, NOW)
    return made


def test_a_release_comes_back_with_its_bytes_and_files(database: Database) -> None:
    made = store(database, "1.0.0")
    with database.read() as session:
        found = RegistryRepository(session).release_of(ModelName("harbour"), Version("1.0.0"))
    assert found is not None
    assert (found.manifest, found.digest) == (made.manifest, made.digest)
    assert {file.path for file in found.files} == {"card.md", "labels.txt", "model.onnx"}


def test_two_releases_of_one_name_cannot_both_be_stored(database: Database) -> None:
    store(database, "1.0.0")
    with pytest.raises(Conflict):
        store(database, "1.0.0")


def test_what_releases_name_is_referenced_and_nothing_else(database: Database) -> None:
    one, two = store(database, "1.0.0"), store(database, "2.0.0")
    with database.begin() as session:
        repository = RegistryRepository(session)
        assert repository.referenced() == set(one.blobs) | set(two.blobs)
        release = repository.release("harbour-1-0-0")
        assert release is not None
        repository.delete_release(release, NOW)
        assert repository.referenced() == set(two.blobs)


def test_what_a_deleted_version_was_stays_known_though_it_comes_and_goes(database: Database) -> None:
    model, version = ModelName("harbour"), Version("1.0.0")
    for _ in range(2):
        made = store(database, version)
        with database.begin() as session:
            repository = RegistryRepository(session)
            release = repository.release_with(made.digest)
            assert release is not None
            repository.delete_release(release, NOW)
            repository.delete_model("harbour")
        with database.read() as session:
            repository = RegistryRepository(session)
            assert repository.release_with(made.digest) is None
            assert repository.deleted_digest(model, version) == made.digest
            assert repository.deleted_digest(model, Version("2.0.0")) is None


def test_deployments_of_a_release_are_found_by_model_and_version(database: Database) -> None:
    store(database, "1.0.0")
    with database.begin() as session:
        for name, version in (("b", "1.0.0"), ("a", "1.0.0"), ("c", "2.0.0")):
            spec = {"model": "harbour", "version": version}
            session.add(tables.Deployment(name=name, spec=spec, created_ms=NOW))
        session.flush()
        repository = RegistryRepository(session)
        release = repository.release("harbour-1-0-0")
        assert release is not None
        assert repository.deployments_of(release) == ["a", "b"]


def test_an_upload_is_found_by_its_content_until_it_is_deleted(database: Database) -> None:
    upload = Upload("0123456789abcdef", digest_of(b"x"), 1, 0)
    with database.begin() as session:
        repository = RegistryRepository(session)
        repository.add_upload(upload, NOW)
        assert repository.upload_of(upload.digest, 1) == upload
        assert repository.upload_of(upload.digest, 2) is None
        assert repository.uploads_before(NOW) == []
        assert repository.uploads_before(NOW + 1) == [upload.id]
        repository.delete_upload(upload.id)
        assert repository.upload(upload.id) is None
