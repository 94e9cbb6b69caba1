"""What waits for somebody else's signature: under the threshold nothing is published, by no way and no trick."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tuf.api.metadata import Metadata

from controlplane.signing import changes, metadata
from controlplane.signing.documents import RELEASE
from controlplane.signing.keys import CryptoSigner, Key
from controlplane.trust.proposals import LIVES_MS
from protos import trust
from protos.errors import Rejected
from tests.sim import releases
from tests.sim.control_plane import SimControlPlane
from tests.sim.holders import Documents, Holders, signed_now

HARBOUR = releases.make("1.0.0", size=1000)
NEXT = releases.make("1.1.0", size=1000)


@pytest.fixture
def holders(plane: SimControlPlane) -> Holders:
    return Holders(plane)


def refusal(answer: Any) -> str:
    assert answer.status_code in (409, 422), answer.text
    return str(answer.json()["error"]["message"])


def put(plane: SimControlPlane, made: Documents) -> Any:
    body = {"documents": {role: content.decode() for role, content in made.items()}}
    return plane.client.put("/api/v1/metadata", json=body)


def waiting(plane: SimControlPlane) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = plane.client.get("/api/v1/proposals").json()["items"]
    return items


# ---- root ----


def test_a_root_of_two_holders_is_published_with_the_second_signature_and_not_before(holders: Holders) -> None:
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    assert [(each["role"], each["threshold"], len(each["signedBy"])) for each in found["needs"]] == [
        ("root", 1, 1),
        ("root", 2, 1),
    ]
    assert holders.versions()["root"] == 1
    answer = holders.sign(found, holders.bo)
    assert (answer.status_code, answer.json()["state"]) == (200, "published"), answer.text
    assert holders.versions()["root"] == 2
    assert waiting(holders.plane) == []


def test_what_is_signed_by_too_few_is_not_taken_as_an_upload_either(holders: Holders) -> None:
    assert "1 of the 2 signatures" in refusal(put(holders.plane, holders.with_bo(trust.ROOT, holders.root)))


def test_the_new_holder_alone_makes_no_root(holders: Holders) -> None:
    """He may sign it as one that it names; the root before it knows him not."""
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.bo, threshold=1))
    assert holders.sign(found, holders.bo).json()["state"] == "pending"
    assert holders.versions()["root"] == 1


def test_a_key_that_signs_twice_counts_once(holders: Holders) -> None:
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    for _ in range(2):
        again = holders.sign(found, holders.root)
        assert (again.status_code, again.json()["state"]) == (200, "pending")
    assert holders.versions()["root"] == 1


def test_one_key_under_two_names_is_refused(holders: Holders) -> None:
    """The library would count it for each of its names."""
    made = holders.with_bo(trust.ROOT, holders.root)
    root = Metadata[Any].from_bytes(made[trust.ROOT])
    mine = holders.root.public_key
    twin = Key.from_dict("another-name", mine.to_dict())
    root.signed.add_key(twin, trust.ROOT)
    root.signed.revoke_key(holders.bo.public_key.keyid, trust.ROOT)
    root.signatures.clear()
    root.sign(holders.root)
    root.sign(CryptoSigner(holders.root._private_key, twin), append=True)  # type: ignore[arg-type]  # of one key
    said = refusal(put(holders.plane, {trust.ROOT: root.to_bytes()}))
    assert "one key under two names" in said


def test_a_signature_of_a_stranger_or_over_something_else_is_refused(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    found = holders.proposed(made)
    assert "does not count" in refusal(holders.sign(found, holders.cy))
    other = holders.with_bo(trust.ROOT, holders.root, threshold=1)[trust.ROOT]
    moved = {"root": {holders.bo.public_key.keyid: metadata.signature(trust.ROOT, other, holders.bo)}}
    answer = holders.plane.client.post(f"/api/v1/proposals/{found['id']}/sign", json={"signatures": moved})
    assert "does not count" in refusal(answer)
    assert holders.versions()["root"] == 1


def test_what_nobody_signed_who_may_is_no_proposal(holders: Holders) -> None:
    assert "none of these documents is signed" in refusal(holders.propose(holders.with_bo(trust.ROOT)))
    assert "none of these documents is signed" in refusal(holders.propose(holders.with_bo(trust.ROOT, holders.cy)))


def test_what_would_be_refused_once_it_is_signed_is_refused_at_once(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    made |= {trust.TIMESTAMP: holders.plane.services.trust.file("timestamp.json")}
    assert "taken from nobody" in refusal(holders.propose(made))


# ---- its life ----


def test_one_that_was_overtaken_is_refused_clearly(holders: Holders) -> None:
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    holders.plane.services.trust.take(holders.with_bo(trust.ROOT, holders.root, holders.bo))
    assert "was overtaken" in refusal(holders.sign(found, holders.bo))
    assert waiting(holders.plane)[0]["trouble"]
    again = holders.propose(holders.with_bo(trust.TARGETS, holders.root, holders.targets))
    assert again.status_code == 201, again.text


def test_one_that_was_cancelled_or_published_never_comes_back(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    found = holders.proposed(made)
    assert holders.plane.client.delete(f"/api/v1/proposals/{found['id']}").status_code == 204
    assert "never comes back" in refusal(holders.propose(made))
    assert "was cancelled" in refusal(holders.sign(found, holders.bo))
    holders.plane.clock.tick(1)
    other = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    assert holders.sign(other, holders.bo).json()["state"] == "published"
    assert "was published" in refusal(holders.sign(other, holders.bo))


def test_one_that_waits_too_long_lapses(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    found = holders.proposed(made)
    holders.plane.clock.tick(LIVES_MS / 1000 + 1)
    assert waiting(holders.plane) == []
    assert "waited too long" in refusal(holders.sign(found, holders.bo))
    holders.plane.services.proposals.sweep()
    assert "was lapsed" in refusal(holders.propose(made))


def test_a_document_waits_in_one_proposal_at_a_time(holders: Holders) -> None:
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    holders.plane.clock.tick(1)
    other = holders.with_bo(trust.ROOT, holders.root, threshold=1)
    said = refusal(holders.propose(other))
    assert f"in proposal {found['id'][:12]}" in said


def test_the_same_again_changes_nothing(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    holders.proposed(made)
    assert holders.propose(made).status_code == 200
    assert len(waiting(holders.plane)) == 1


def test_the_audit_says_who_proposed_signed_and_published(holders: Holders) -> None:
    found = holders.proposed(holders.with_bo(trust.ROOT, holders.root))
    holders.sign(found, holders.bo)
    entries = holders.plane.client.get("/api/v1/audit").json()["items"]
    said = {(each["verb"], each["object"]) for each in entries}
    name = f"proposals/{found['id']}"
    assert {("create", name), ("sign", name), ("publish", "metadata/root")} <= said


# ---- releases ----


def test_a_release_is_listed_with_the_second_signature_and_not_before(holders: Holders) -> None:
    holders.two_release_keys()
    holders.plane.push(HARBOUR, signed=False)
    found = holders.proposed(holders.listing(HARBOUR, "1.0.0", holders.release, floor=1))
    assert holders.plane.services.trust.listings() == {}
    assert holders.sign(found, holders.bo).json()["state"] == "published"
    (listed,) = holders.plane.services.trust.listings().values()
    assert (listed.digest, listed.floor) == (HARBOUR.digest, 1)


def test_a_release_that_one_of_two_signed_is_not_taken_as_an_upload(holders: Holders) -> None:
    holders.two_release_keys()
    holders.plane.push(HARBOUR, signed=False)
    made = holders.listing(HARBOUR, "1.0.0", holders.release)
    assert "1 of the 2 signatures" in refusal(put(holders.plane, made))


def test_release_keys_of_two_people_come_with_all_that_hangs_on_them(holders: Holders) -> None:
    """targets by its holder, the lists by both release keys: each on his own machine."""
    holders.plane.push(HARBOUR)
    found = holders.proposed(holders.with_bo(RELEASE, holders.release))
    holders.sign(found, holders.targets, trust.TARGETS)
    assert waiting(holders.plane)
    last = holders.sign(found, holders.bo, trust.MODELS, "model-harbour")
    assert last.json()["state"] == "published", last.text


# ---- what is told before somebody signs ----


def test_what_changes_is_told_in_words(holders: Holders) -> None:
    holders.plane.push(HARBOUR)
    before = signed_now(holders.plane).contents
    told = "\n".join(changes.told(before, holders.with_bo(trust.ROOT, holders.root)))
    assert "root.json: version 1 → 2, good until " in told
    assert "root: 1 of 1 → 2 of 2 must sign" in told
    assert f"+ {holders.bo.public_key.keyid} (ed25519)" in told
    holders.plane.push(NEXT, signed=False)
    holders.plane.clock.tick(1)
    made = holders.listing(
        NEXT, "1.1.0", holders.release, floor=2, device_classes=("x86_64-cpu",), signed_by="ann@quay"
    )
    told = "\n".join(changes.told(before, made))
    assert "+ harbour@1.1.0 (number 2)" in told
    assert NEXT.digest in told
    assert "floor 2: boxes run nothing below that number again; for x86_64-cpu; any agent" in told
    assert "harbour@1.0.0" not in told


def test_a_release_that_would_vanish_is_told(holders: Holders) -> None:
    holders.plane.push(HARBOUR)
    holders.plane.clock.tick(1)
    found = signed_now(holders.plane)
    from controlplane.signing.listing import listed

    gone = next(each for each in found.documents["model-harbour"].listings)
    made = listed(found, (), [(gone.model, gone.version)], [holders.release], holders.now)
    assert any(
        "− harbour@1.0.0 (number 1): boxes install it no more" in line for line in changes.told(found.contents, made)
    )


def hidden(holders: Holders, how: str) -> Documents:
    made = holders.with_bo(trust.ROOT, holders.root)
    whole = json.loads(made[trust.ROOT])
    signed, bo = whole["signed"], holders.bo.public_key.keyid
    if how == "a field":
        signed["x-more"] = 1
    if how == "a key that no role has":
        signed["keys"][holders.cy.public_key.keyid] = holders.cy.public_key.to_dict()
    if how == "another key under a name that is known":
        signed["keys"][bo] = holders.cy.public_key.to_dict()
    return {trust.ROOT: json.dumps(whole).encode()}


@pytest.mark.parametrize("how", ["a field", "a key that no role has", "another key under a name that is known"])
def test_what_cannot_be_shown_is_not_signed(holders: Holders, how: str) -> None:
    with pytest.raises(Rejected, match="says more than this command can show"):
        changes.told(signed_now(holders.plane).contents, hidden(holders, how))


def test_a_signer_s_words_write_nothing_over_others(holders: Holders) -> None:
    holders.plane.push(HARBOUR, signed=False)
    made = holders.listing(HARBOUR, "1.0.0", holders.release, signed_by="ann\x1b[2Aroot\n  ok")
    assert all(each.isprintable() for each in changes.told(signed_now(holders.plane).contents, made))


def test_an_older_document_is_not_shown_as_news(holders: Holders) -> None:
    made = holders.with_bo(trust.ROOT, holders.root)
    holders.plane.services.trust.take(holders.with_bo(trust.ROOT, holders.root, holders.bo))
    with pytest.raises(Rejected, match="was overtaken"):
        changes.told(signed_now(holders.plane).contents, made)


@pytest.mark.parametrize("body", ['{"documents": {"root": "\\ud800"}}', '{"documents": {"\\ud800": "x"}}'])
def test_half_a_letter_is_refused_as_any_other_text(holders: Holders, body: str) -> None:
    name = holders.proposed(holders.with_bo(trust.ROOT, holders.root))["id"]
    for method, path in (("POST", "/proposals"), ("PUT", "/metadata"), ("POST", f"/proposals/{name}/sign")):
        told = body.replace("documents", "signatures").replace('"x"', '{"a": "00"}') if "sign" in path else body
        answer = holders.plane.client.request(
            method, f"/api/v1{path}", content=told, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text


def test_a_floor_that_no_release_brings_is_told_to_who_is_to_sign_it(plane: SimControlPlane) -> None:
    plane.push(HARBOUR)
    before = signed_now(plane).contents
    made = metadata.parsed("model-harbour", before["model-harbour"])
    made.signed.version += 1
    made.signed.unrecognized_fields[trust.FLOOR] = 5
    told = changes.told(before, {"model-harbour": made.to_bytes()})
    assert told[-1] == "  floor 5, which no release here brings: boxes run nothing below that number again"
