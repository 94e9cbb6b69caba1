"""Signed metadata as a client gets it: what is served, what is taken, what follows from a Deployment."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Targets

from controlplane.adapters import notary
from controlplane.errors import Conflict, NotFound
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.identity.roles import Role
from controlplane.settings.domain import Lifetimes
from controlplane.signing import ceremony, metadata, online
from controlplane.signing.chain import Chain, proven
from controlplane.signing.keys import CryptoSigner, new_key, public_key, read_key
from controlplane.signing.listing import listed
from controlplane.signing.rotation import Trusted, rotated
from controlplane.trust import uploads
from controlplane.trust.loop import tick
from controlplane.trust.repository import TrustRepository
from controlplane.web import MAX_BODY
from protos import trust
from protos.errors import Rejected
from protos.ids import DeploymentName, ModelName, NodeId, Version
from protos.trust import Assignment, Listing
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.tuf_client import SimTufClient

DAY = 86_400
HARBOUR = releases.make("1.0.0", size=1000)
NEXT = releases.make("1.1.0", size=1000)
HARBOUR_1 = ModelName("harbour"), Version("1.0.0")


def deploy(plane: SimControlPlane, version: str = "1.0.0", name: str = "gate") -> None:
    answer = plane.client.put(f"/api/v1/deployments/{name}", json={"spec": {"model": "harbour", "version": version}})
    assert answer.status_code in (200, 201), answer.text


def versions(plane: SimControlPlane) -> dict[str, int]:
    return {each.document.role: each.document.version for each in plane.services.trust.roles()}


def assigned(plane: SimControlPlane) -> dict[str, str]:
    found = next(each.document for each in plane.services.trust.roles() if each.document.role == trust.ASSIGN)
    return {each.path: each.version for each in found.assignments}


def chain(plane: SimControlPlane) -> Chain:
    with plane.database.read() as session:
        contents = TrustRepository(session).newest()
    below = {role: content for role, content in contents.items() if role not in (trust.ROOT, *trust.ONLINE)}
    return proven(contents[trust.ROOT], below)


def release_key(plane: SimControlPlane) -> CryptoSigner:
    return read_key(plane.config.keys_folder / "release.key")


def listing(made: releases.MadeRelease, version: str, **changed: Any) -> Listing:
    about: dict[str, Any] = {"digest": made.digest, "size": len(made.manifest), "number": 1, "task": "detection"}
    return Listing(ModelName("harbour"), Version(version), **(about | changed))


def test_a_client_finds_both_halves_of_what_shall_run(tmp_path: Path) -> None:
    plane = SimControlPlane(tmp_path / "state", FakeClock(unix=time.time()))  # tuf's client reads the machine's clock
    plane.push(HARBOUR, floor=1, device_classes=("x86_64-cpu",))
    deploy(plane)
    client = SimTufClient(plane, tmp_path / "client", plane.services.trust.root())
    wanted, may = client.target("assign/gate/release"), client.target("models/harbour/1.0.0")
    assert wanted is not None
    assert may is not None
    assert (
        (wanted.length, wanted.hashes)
        == (may.length, may.hashes)
        == (len(HARBOUR.manifest), trust.hashes(HARBOUR.digest))
    )
    assert (may.custom["release"], may.custom["floor"], may.custom["deviceClasses"]) == (1, 1, ["x86_64-cpu"])
    plane.close()


def test_a_deployment_is_assigned_in_its_own_transaction_and_no_more_once_it_is_deleted(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    before = versions(plane)
    deploy(plane)
    assert assigned(plane) == {"assign/gate/release": "1.0.0"}
    after = versions(plane)
    assert {role for role in after if after[role] > before[role]} == set(trust.ONLINE)
    plane.client.delete("/api/v1/deployments/gate")
    assert assigned(plane) == {}


def test_what_is_applied_again_signs_nothing(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    deploy(plane)
    before = versions(plane)
    deploy(plane)
    plane.services.trust.keep_fresh()
    assert versions(plane) == before


def test_an_unsigned_release_is_assigned_as_soon_as_it_is_signed(plane: SimControlPlane) -> None:
    stored = plane.push(HARBOUR, signed=False)
    deploy(plane)
    assert assigned(plane) == {}
    plane.sign(stored)
    assert assigned(plane) == {"assign/gate/release": "1.0.0"}


def test_a_signature_wakes_the_boxes_that_wait_for_it(plane: SimControlPlane) -> None:
    with plane.database.begin() as session:
        IdentityRepository(session).admit_node(Admission(NodeId("quay-1"), {}, "edge", rejoin=True), 5)
    plane.push(HARBOUR, signed=False)
    deploy(plane)
    plane.notifier.hints.clear()
    made = listed(chain(plane), [listing(HARBOUR, "1.0.0")], (), [release_key(plane)], int(plane.clock.unix()))
    body = {"documents": {role: content.decode() for role, content in made.items()}}
    assert plane.client.put("/api/v1/metadata", json=body).status_code == 200
    assert [str(node) for node, _, _ in plane.notifier.hints] == ["quay-1"]


def test_a_candidate_in_the_shadow_is_assigned_as_such(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    plane.push(NEXT)
    spec = {"model": "harbour", "version": "1.0.0", "shadow": {"release": "harbour@1.1.0"}}
    assert plane.client.put("/api/v1/deployments/gate", json={"spec": spec}).status_code == 201
    assert assigned(plane) == {"assign/gate/release": "1.0.0", "assign/gate/shadow": "1.1.0"}


def test_a_release_that_was_withdrawn_is_assigned_to_nobody(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    deploy(plane)
    gone = (ModelName("harbour"), Version("1.0.0"))
    made = listed(chain(plane), (), [gone], [release_key(plane)], int(plane.clock.unix()))
    with pytest.raises(Conflict, match=r"no longer lists models/harbour/1\.0\.0"):
        plane.services.trust.take(made)
    plane.services.trust.take(made, frozenset({trust.release_path(*gone)}))
    assert assigned(plane) == {}


@pytest.mark.parametrize(("after", "again"), [(0.6 * DAY, {trust.TIMESTAMP}), (4 * DAY, set(trust.ONLINE))])
def test_what_is_half_over_is_signed_anew(plane: SimControlPlane, after: float, again: set[str]) -> None:
    before = versions(plane)
    plane.services.trust.keep_fresh()
    assert versions(plane) == before
    plane.clock.tick(after)
    plane.services.trust.keep_fresh()
    found = versions(plane)
    assert {role for role in found if found[role] > before[role]} == again
    assert found[trust.TIMESTAMP] == int(plane.clock.unix())


def test_online_everything_goes_on_without_offline_and_release_keys(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    shutil.rmtree(plane.config.keys_folder)
    deploy(plane)
    plane.clock.tick(20 * DAY)
    plane.services.trust.keep_fresh()
    assert assigned(plane) == {"assign/gate/release": "1.0.0"}
    assert all(each.document.verified for each in plane.services.trust.roles())


def test_the_same_documents_again_are_no_news(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    found = chain(plane)
    assert plane.services.trust.take({"model-harbour": found.contents["model-harbour"]}) == ()


def test_two_signers_at_once_cost_one_of_them_a_second_try(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    plane.push(NEXT, signed=False)
    early = chain(plane)
    plane.sign(plane.registry.release("harbour-1-1-0"))
    made = listed(early, [listing(NEXT, "1.1.0", floor=2)], (), [release_key(plane)], int(plane.clock.unix()))
    with pytest.raises(Conflict, match="run the same command again"):
        plane.services.trust.take(made)


def test_old_versions_go_and_roots_stay(plane: SimControlPlane) -> None:
    for _ in range(20):
        plane.clock.tick(0.6 * DAY)
        plane.services.trust.keep_fresh()
    newest = versions(plane)[trust.TIMESTAMP]
    with plane.database.read() as session:
        repository = TrustRepository(session)
        kept = [version for version in range(newest - 25 * DAY, newest + 1, 1) if version % 8640 == newest % 8640]
        assert sum(repository.content(trust.TIMESTAMP, version) is not None for version in kept) == 16
        assert repository.content(trust.ROOT, 1) is not None


# ---- thieves ----

Thief = Callable[[SimControlPlane, Chain, CryptoSigner], dict[str, bytes]]


def by_listing(plane: SimControlPlane, found: Chain, stolen: CryptoSigner) -> dict[str, bytes]:
    """Signed by the online key instead of the release key."""
    document = Targets(
        version=int(plane.clock.unix()) + 1,
        expires=metadata.expiry("model-harbour", int(plane.clock.unix())),
        targets={"models/harbour/1.1.0": metadata.target(listing(NEXT, "1.1.0", number=2))},
    )
    return {"model-harbour": metadata.signed(document, [stolen])}


def by_delegating(plane: SimControlPlane, found: Chain, stolen: CryptoSigner) -> dict[str, bytes]:
    """Makes himself a signer of models first."""
    now = int(plane.clock.unix())
    roles = sorted(found.documents[trust.MODELS].delegated)
    return {
        **by_listing(plane, found, stolen),
        trust.MODELS: ceremony.models([stolen.public_key], 1, roles, now, [stolen], now),
    }


def by_targets(plane: SimControlPlane, found: Chain, stolen: CryptoSigner) -> dict[str, bytes]:
    """Makes himself the release key first."""
    now = int(plane.clock.unix())
    below = {trust.MODELS: ([stolen.public_key], 1), trust.ASSIGN: ([stolen.public_key], 1)}
    return {**by_delegating(plane, found, stolen), trust.TARGETS: ceremony.targets(below, now, [stolen], now)}


def by_root(plane: SimControlPlane, found: Chain, stolen: CryptoSigner) -> dict[str, bytes]:
    now = int(plane.clock.unix())
    mine = {role: ([stolen.public_key], 1) for role in (trust.ROOT, trust.TARGETS, trust.SNAPSHOT, trust.TIMESTAMP)}
    root = metadata.signed(ceremony.root(2, mine, now), [stolen])
    return {**by_targets(plane, found, stolen), trust.ROOT: root}


@pytest.mark.parametrize("way", [by_listing, by_delegating, by_targets, by_root])
def test_whoever_stole_the_online_key_lists_nothing(plane: SimControlPlane, way: Thief) -> None:
    plane.push(HARBOUR)
    plane.push(NEXT, signed=False)
    stolen = read_key(plane.config.folder / "trust" / "online.key")
    with pytest.raises(Rejected, match="signature"):
        plane.services.trust.take(way(plane, chain(plane), stolen))
    assert (ModelName("harbour"), Version("1.1.0")) not in plane.services.trust.listings()


@pytest.mark.parametrize("role", trust.ONLINE)
def test_online_documents_are_taken_from_nobody(plane: SimControlPlane, role: str) -> None:
    with plane.database.read() as session:
        content = TrustRepository(session).newest()[role]
    with pytest.raises(Rejected, match="taken from nobody"):
        plane.services.trust.take({role: content.replace(b'"version"', b' "version"')})


# ---- what is judged ----


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"digest": HARBOUR.digest}, "other content than the registry has"),
        ({"size": 7}, "other content than the registry has"),
        ({"task": "classification"}, "other content than the registry has"),
        ({"signed_by": "x" * 201}, "words of its signer"),
        ({"minimum_agent": "0.3\n"}, "words of its signer"),
        ({"version": "9.9.9"}, "not in the registry"),
    ],
)
def test_only_what_the_registry_has_is_listed(plane: SimControlPlane, changed: dict[str, Any], why: str) -> None:
    plane.push(NEXT, signed=False)
    version = changed.pop("version", "1.1.0")
    made = listed(chain(plane), [listing(NEXT, version, **changed)], (), [release_key(plane)], int(plane.clock.unix()))
    with pytest.raises(Rejected, match=why):
        plane.services.trust.take(made)


@pytest.mark.parametrize(
    ("keys", "threshold", "path"),
    [(1, 1, "models/harbour/*"), (2, 2, "models/harbour/*"), (0, 1, "models/*/*"), (0, 1, "assign/*/*")],
)
def test_models_delegates_to_the_release_keys_and_each_its_own_model(
    plane: SimControlPlane, keys: int, threshold: int, path: str
) -> None:
    """Signed by the release key, and still more than it may say: other keys beside or instead, another's names."""
    plane.push(HARBOUR)
    now, release = int(plane.clock.unix()), release_key(plane)
    trusting = [release.public_key, *(new_key().public_key for _ in range(keys))]
    delegations = metadata.delegations({"model-harbour": (trusting, threshold)})
    assert delegations.roles is not None
    delegations.roles["model-harbour"].paths = [path]
    document = Targets(version=now + 9, expires=metadata.expiry(trust.MODELS, now), delegations=delegations)
    with pytest.raises(Rejected, match=r"nothing else|no others|2 signatures"):
        plane.services.trust.take({trust.MODELS: metadata.signed(document, [release])})


def test_snapshot_and_timestamp_say_length_and_hash_of_what_they_name(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    with plane.database.read() as session:
        contents = TrustRepository(session).newest()
    timestamp = json.loads(contents[trust.TIMESTAMP])["signed"]
    snapshot = json.loads(contents[trust.SNAPSHOT])["signed"]["meta"]
    assert set(snapshot) == {"targets.json", "models.json", "assign.json", "model-harbour.json"}
    for name, told in {**snapshot, **timestamp["meta"]}.items():
        content = contents[name.removesuffix(".json")]
        assert (told["length"], told["hashes"]) == (len(content), {"sha256": hashlib.sha256(content).hexdigest()})
    assert timestamp[trust.SIGNED_AT] == int(plane.clock.unix())


def test_a_control_plane_of_a_wrong_clock_and_a_restored_one_go_on_above_what_was_seen(plane: SimControlPlane) -> None:
    before = versions(plane)
    plane.clock.jump(-400 * DAY)
    plane.push(HARBOUR)
    deploy(plane)
    after = versions(plane)
    assert all(after[role] > before[role] for role in trust.ONLINE)


def test_what_was_signed_by_a_clock_that_was_ahead_is_signed_anew(plane: SimControlPlane) -> None:
    """It would be good for as long as the clock was ahead: whoever stands in between could hold boxes back with it."""
    plane.clock.jump(400 * DAY)
    plane.services.trust.keep_fresh()
    plane.clock.jump(-400 * DAY)
    plane.services.trust.keep_fresh()
    good_until = {each.document.role: each.document.expires for each in plane.services.trust.roles()}
    for role in trust.ONLINE:
        assert good_until[role] == int(plane.clock.unix()) + Lifetimes().seconds[role]


@pytest.mark.parametrize("role", trust.ONLINE)
def test_a_rotation_that_takes_away_what_signs_here_is_refused(plane: SimControlPlane, role: str) -> None:
    held = [read_key(path) for path in (plane.config.keys_folder / "offline").glob("*.key")]
    elsewhere = {role: Trusted((new_key().public_key,), 1)}
    made = rotated(chain(plane), elsewhere, held, int(plane.clock.unix()))
    with pytest.raises(Rejected, match=f"holds too few keys for {role}"):
        plane.services.trust.take(made)


def test_a_lost_online_key_stops_signing_and_nothing_else(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    (plane.config.folder / "trust" / "online.key").unlink()
    before = versions(plane)
    deploy(plane)
    assert versions(plane) == before
    assert {each.document.role for each in plane.services.trust.roles() if each.held} == set()


def test_an_old_key_that_cannot_be_deleted_stops_nothing(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As from a Secret that is mounted: this loop must not end, or the control plane would end with it."""

    def read_only(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    tick(plane.services.trust)
    made = plane.services.trust.new_online_key()
    key = Trusted((public_key(made.id, dict(made.fields)),), 1)
    held = [read_key(path) for path in sorted((plane.config.keys_folder / "offline").glob("*.key"))]
    changes = dict.fromkeys(trust.ONLINE, key)
    plane.services.trust.take(rotated(chain(plane), changes, held, int(plane.clock.unix())))
    monkeypatch.setattr(Path, "unlink", read_only)
    tick(plane.services.trust)
    tick(plane.services.trust)
    assert caplog.text.count("delete it by hand") == 1


def test_what_was_read_is_remembered_within_a_bound(
    plane: SimControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a thousand Deployments each change makes a document of 170 kB, which takes three times as much when read."""
    read, asked = metadata.read, []

    def counted(*question: Any) -> Any:
        asked.append(question[0])
        return read(*question)

    monkeypatch.setattr(metadata, "read", counted)
    with plane.database.read() as session:
        newest = TrustRepository(session).newest()
    first = newest[trust.ASSIGN]
    monkeypatch.setattr(notary, "MOST_REMEMBERED", 5 * len(first) + 100)
    known = notary.FolderNotary(tmp_path / "online")

    def look(*spaces: int) -> int:
        """How many were read anew, of documents that differ by spaces at their end."""
        asked.clear()
        for count in spaces:
            known.read({**newest, trust.ASSIGN: first + b" " * count}, trust.ASSIGN)
        return len(asked)

    assert look(0, 1, 2, 3, 4) == 5
    assert look(0, 4) == 0
    assert look(5) == 1
    assert look(0, 2, 3, 4, 5) == 0
    assert look(1) == 1


def test_a_stranger_s_key_signs_nothing(plane: SimControlPlane) -> None:
    plane.push(NEXT, signed=False)
    with pytest.raises(Rejected, match="wants signatures of 1 of its 1 keys"):
        listed(chain(plane), [listing(NEXT, "1.1.0")], (), [new_key()], int(plane.clock.unix()))


def test_one_changed_letter_is_seen(plane: SimControlPlane) -> None:
    plane.push(NEXT, signed=False)
    now = int(plane.clock.unix())
    made = listed(chain(plane), [listing(NEXT, "1.1.0", floor=1)], (), [release_key(plane)], now)
    made["model-harbour"] = made["model-harbour"].replace(b'"floor":1', b'"floor":0')
    with pytest.raises(Rejected, match="has 0 of the 1 signatures"):
        plane.services.trust.take(made)


def test_a_number_is_never_given_twice_also_when_its_release_was_withdrawn(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    gone, now = (ModelName("harbour"), Version("1.0.0")), int(plane.clock.unix())
    made = listed(chain(plane), (), [gone], [release_key(plane)], now)
    plane.services.trust.take(made, frozenset({trust.release_path(*gone)}))
    plane.push(NEXT)
    assert plane.services.trust.listings()[ModelName("harbour"), Version("1.1.0")].number == 2


def test_a_floor_outlasts_the_release_that_brought_it(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    plane.push(NEXT, floor=2)
    gone, now = (ModelName("harbour"), Version("1.1.0")), int(plane.clock.unix())
    made = listed(chain(plane), (), [gone], [release_key(plane)], now)
    plane.services.trust.take(made, frozenset({trust.release_path(*gone)}))
    document = chain(plane).documents["model-harbour"]
    assert ([each.floor for each in document.listings], document.floor) == ([0], 2)
    again = listed(chain(plane), [listing(HARBOUR, "1.0.0")], (), [release_key(plane)], now)
    plane.services.trust.take(again)
    assert chain(plane).documents["model-harbour"].floor == 2


# ---- what boxes can read ----


def test_a_deployment_too_many_for_what_boxes_read_is_refused_and_nothing_changes(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.push(HARBOUR)
    deploy(plane)
    before, kept = versions(plane), len(newest(plane)[trust.ASSIGN])
    monkeypatch.setattr(trust, "MOST_BYTES", kept + 50)
    answer = plane.client.put("/api/v1/deployments/quay", json={"spec": {"model": "harbour", "version": "1.0.0"}})
    assert answer.status_code == 422
    told = answer.json()["error"]["message"]
    assert "assign.json would have" in told
    assert f"boxes read {kept + 50}; have fewer Deployments, and nothing was changed now" in told
    assert versions(plane) == before
    assert plane.client.get("/api/v1/deployments/quay").status_code == 404


def test_ten_thousand_deployments_fit_into_what_boxes_read() -> None:
    name = "d" * 63  # the longest there is
    wanted = [
        Assignment(DeploymentName(f"{name[:-5]}{number:05}"), *HARBOUR_1, HARBOUR.digest, 100_000)
        for number in range(1000)
    ]
    assert 10 * len(online.assign(wanted, 0, [new_key()], 1_795_000_000, 7 * DAY)) < trust.MOST_BYTES


@pytest.mark.parametrize(("method", "path"), [("PUT", "/api/v1/metadata"), ("POST", "/api/v1/proposals")])
def test_documents_may_be_longer_than_other_bodies_once_it_is_known_who_sends_them(
    plane: SimControlPlane, method: str, path: str
) -> None:
    body = json.dumps({"documents": signed_next(plane, padded=MAX_BODY)})
    assert len(body) > MAX_BODY
    assert plane.stranger.request(method, path, content=body).status_code == 401
    before = versions(plane)
    answer = plane.client.request(method, path, content=body)
    assert answer.is_success, answer.text
    assert versions(plane) != before  # signed by all that must


def test_a_document_longer_than_boxes_read_is_refused_over_http_and_nothing_changes(plane: SimControlPlane) -> None:
    before = versions(plane)
    body = {"documents": signed_next(plane, padded=trust.MOST_BYTES)}
    answer = plane.client.put("/api/v1/metadata", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "rejected")
    assert "model-harbour.json would have" in answer.json()["error"]["message"]
    assert versions(plane) == before


def test_an_upload_without_an_end_is_refused_while_it_comes(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    answer = plane.client.put("/api/v1/metadata", json={"documents": signed_next(plane)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")
    assert "more than 1000 bytes of documents at once" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body cannot be read"),
        (b"{", "the body cannot be read"),
        (b"[]", "the body must be an object in JSON"),
        (b"{}", "documents is needed"),
        (b'{"documents": {}}', "documents: "),
        (b'{"documents": {"root": "x"}, "more": 1}', "more is no field here"),
    ],
)
def test_what_is_no_upload_of_documents_is_refused_in_a_sentence(
    plane: SimControlPlane, body: bytes, told: str
) -> None:
    answer = plane.client.put("/api/v1/metadata", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"].startswith(told)


def newest(plane: SimControlPlane) -> dict[str, bytes]:
    with plane.database.read() as session:
        return TrustRepository(session).newest()


def signed_next(plane: SimControlPlane, padded: int = 0) -> dict[str, str]:
    """Documents that list NEXT; that of its model with so many bytes more, which mean nothing."""
    plane.push(NEXT, signed=False)
    made = listed(chain(plane), [listing(NEXT, "1.1.0")], (), [release_key(plane)], int(plane.clock.unix()))
    made["model-harbour"] += b" " * padded
    return {role: content.decode() for role, content in made.items()}


# ---- over HTTP ----


@pytest.mark.parametrize(
    "name", ["timestamp", "7.timestamp.json", "1.root", "0.root.json", "snapshot.json", "1.ROOT.json"]
)
def test_other_names_are_not_there(plane: SimControlPlane, name: str) -> None:
    with pytest.raises(NotFound):
        plane.services.trust.file(name)


def test_a_box_reads_with_its_grant_and_a_stranger_does_not(plane: SimControlPlane) -> None:
    grant = plane.services.grants.give(NodeId("quay-1"), int(plane.clock.unix() * 1000) + 1000)
    box = plane.browser({"Authorization": f"Bearer {grant}"})
    assert box.get("/api/v1/metadata/timestamp.json").status_code == 200
    assert box.get("/api/v1/metadata/root.json").content == plane.services.trust.root()
    assert box.get("/api/v1/metadata").status_code == 401
    assert plane.stranger.get("/api/v1/metadata/timestamp.json").status_code == 401


def test_what_was_signed_is_sent_and_stands_in_the_audit(plane: SimControlPlane) -> None:
    plane.push(NEXT, signed=False)
    now = int(plane.clock.unix())
    made = listed(chain(plane), [listing(NEXT, "1.1.0")], (), [release_key(plane)], now)
    body = {"documents": {role: content.decode() for role, content in made.items()}}
    assert plane.client.put("/api/v1/metadata", json=body).json() == {"roles": ["model-harbour", "models"]}
    assert plane.client.put("/api/v1/metadata", json=body).json() == {"roles": []}
    found = plane.client.get("/api/v1/releases/harbour-1-1-0").json()["status"]["signed"]
    assert (found["number"], found["floor"]) == (1, 0)
    entries = [each["object"] for each in plane.client.get("/api/v1/audit").json()["items"]]
    assert entries == ["metadata/model-harbour,models"]


def test_only_an_admin_has_the_control_plane_make_a_key(plane: SimControlPlane) -> None:
    operator = plane.identity.create_api_token("ci", person=None, role=Role.OPERATOR)
    asked = plane.browser({"Authorization": f"Bearer {operator.text}"}).post("/api/v1/metadata/keys")
    assert asked.status_code == 403
    made = plane.client.post("/api/v1/metadata/keys").json()
    assert made["key"]["keytype"] == "ed25519"
    assert json.dumps(made).count("PRIVATE") == 0


def lives(plane: SimControlPlane) -> dict[str, int]:
    """Days that online roles are still good for."""
    now = int(plane.clock.unix())
    found = {each.document.role: each.document for each in plane.services.trust.roles()}
    return {role: round((found[role].expires - now) / DAY) for role in trust.ONLINE}


def live(plane: SimControlPlane, **spec: str) -> None:
    answer = plane.client.put("/api/v1/settings/fleet", json={"spec": {"metadata": spec}})
    assert answer.status_code == 200, answer.text


def test_what_is_signed_online_is_good_for_as_long_as_settings_say_from_that_moment_on(plane: SimControlPlane) -> None:
    plane.services.trust.keep_fresh()
    assert lives(plane) == {trust.TIMESTAMP: 1, trust.SNAPSHOT: 30, trust.ASSIGN: 7}
    live(plane, timestamp="60d", snapshot="90d", assign="90d")
    assert lives(plane) == {trust.TIMESTAMP: 60, trust.SNAPSHOT: 90, trust.ASSIGN: 90}
    live(plane)  # what was signed for longer goes at once, too
    assert lives(plane) == {trust.TIMESTAMP: 1, trust.SNAPSHOT: 30, trust.ASSIGN: 7}


def test_a_long_life_is_renewed_at_half_of_it(plane: SimControlPlane) -> None:
    live(plane, timestamp="60d", snapshot="90d", assign="90d")
    before = versions(plane)
    plane.clock._unix += 29 * DAY
    plane.services.trust.keep_fresh()
    assert versions(plane) == before
    plane.clock._unix += 2 * DAY
    plane.services.trust.keep_fresh()
    assert versions(plane)[trust.TIMESTAMP] > before[trust.TIMESTAMP]
