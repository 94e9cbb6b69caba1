"""How a box gets in: one token, one use, one name; every other way gets its own sentence."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane import tables
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.errors import Conflict, Forbidden, NotFound, Unauthenticated
from controlplane.identity.domain import Guesses, Wish
from controlplane.identity.service import Joined
from protos import tokens
from protos.errors import InvalidToken, Rejected, Retryable
from protos.ids import NodeId
from tests.sim import joining
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

QUAY = NodeId("quay-1")
DAY = 86_400
SITE = {"site": "hamburg"}


def token_for(
    plane: SimControlPlane,
    node: NodeId | None = QUAY,
    labels: Mapping[str, str] = SITE,
    role: str = "edge",
    ttl: int | None = None,
) -> str:
    return plane.identity.create_join_token(node, dict(labels), role, ttl).text


def join(
    plane: SimControlPlane,
    token: str,
    node: str = "",
    labels: Mapping[str, str] | None = None,
    role: str = "",
    host_name: str = "",
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Joined:
    request = joining.request_of(key or joining.new_key())
    return plane.identity.enrol(token, request, Wish(node, labels or {}, role, host_name), "10.0.0.9")


def node_row(plane: SimControlPlane, node: str) -> tables.Node:
    with plane.database.read() as session:
        row = session.get(tables.Node, node)
    assert row is not None
    return row


def test_a_box_joins_under_the_name_and_labels_of_its_token(plane: SimControlPlane) -> None:
    joined = join(plane, token_for(plane), labels={"gpu": "none", "site": "elsewhere"})
    row = node_row(plane, "quay-1")
    assert joined.node == "quay-1"
    assert row.labels == {"gpu": "none", "site": "hamburg"}
    assert plane.identity.device(joined.certificate.pem.encode()) == "quay-1"


def test_a_certificate_lives_for_seven_days(plane: SimControlPlane) -> None:
    joined = join(plane, token_for(plane))
    assert joined.certificate.not_after_ms == (plane.clock.unix() + 7 * 86_400) * 1000


def test_a_token_used_twice_is_refused_naming_who_used_it(plane: SimControlPlane) -> None:
    token = token_for(plane)
    join(plane, token)
    with pytest.raises(InvalidToken, match="used already, by quay-1; make another with 'longshore token create'"):
        join(plane, token)


def test_an_expired_token_is_refused(plane: SimControlPlane) -> None:
    token = token_for(plane, ttl=60)
    plane.clock.tick(60)
    with pytest.raises(InvalidToken, match="has expired"):
        join(plane, token)


def test_a_token_lives_for_an_hour_unless_told_otherwise(plane: SimControlPlane) -> None:
    token = token_for(plane)
    plane.clock.tick(3599)
    assert join(plane, token).node == "quay-1"


def test_a_token_of_another_control_plane_is_refused(plane: SimControlPlane) -> None:
    other = LocalAuthority(*new_ca(plane.clock.unix())).ca_pin
    token = str(replace(tokens.parse(token_for(plane)), ca_pin=other))
    with pytest.raises(InvalidToken, match="of another control plane"):
        join(plane, token)


def test_a_wrong_secret_reads_the_same_as_an_unknown_token(plane: SimControlPlane) -> None:
    known = tokens.parse(token_for(plane))
    refusals = []
    for token in (replace(known, secret="x" * 43), replace(known, token_id="0" * 12)):
        with pytest.raises(InvalidToken) as refused:
            join(plane, str(token))
        refusals.append(str(refused.value))
    assert refusals[0] == refusals[1] == "this join token is not known here; make another with 'longshore token create'"


def test_an_expired_token_with_a_wrong_secret_does_not_tell_that_it_exists(plane: SimControlPlane) -> None:
    known = tokens.parse(token_for(plane, ttl=1))
    plane.clock.tick(5)
    with pytest.raises(InvalidToken, match="not known here"):
        join(plane, str(replace(known, secret="x" * 43)))


def test_a_deleted_token_is_worth_nothing(plane: SimControlPlane) -> None:
    made = plane.identity.create_join_token(QUAY, {}, "edge", None)
    plane.identity.delete_join_token(made.id)
    with pytest.raises(InvalidToken, match="not known here"):
        join(plane, made.text)


def test_a_token_for_one_node_lets_no_other_in(plane: SimControlPlane) -> None:
    with pytest.raises(InvalidToken, match="is for node quay-1, not 'quay-2'"):
        join(plane, token_for(plane), node="quay-2")


def test_a_token_for_edge_lets_no_cloud_node_in(plane: SimControlPlane) -> None:
    sentence = "for role edge, so that 'longshore-agent run' .* 'longshore token create --role cloud'"
    with pytest.raises(InvalidToken, match=sentence):
        join(plane, token_for(plane), role="cloud")


@pytest.mark.parametrize("role", ["edge", "cloud"])
def test_a_box_that_asks_for_no_role_gets_the_token_s(plane: SimControlPlane, role: str) -> None:
    assert join(plane, token_for(plane, role=role)).role == role
    assert node_row(plane, "quay-1").role == role


def test_a_box_that_lost_the_answer_is_answered_again(plane: SimControlPlane) -> None:
    token, key = token_for(plane, None), joining.new_key()
    first, again = (join(plane, token, node="quay-1", key=key) for _ in range(2))
    assert (again.node, again.role) == (first.node, first.role)
    assert {plane.identity.device(each.certificate.pem.encode()) for each in (first, again)} == {"quay-1"}
    with pytest.raises(InvalidToken, match="used already, by quay-1"):
        join(plane, token)


def test_a_used_token_is_over_for_its_box_too_when_it_expires(plane: SimControlPlane) -> None:
    token, key = token_for(plane, ttl=60), joining.new_key()
    join(plane, token, key=key)
    plane.clock.tick(60)
    with pytest.raises(InvalidToken, match="has expired"):
        join(plane, token, key=key)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_revoked_box_does_not_come_back_with_the_token_it_used(plane: SimControlPlane, deleted: bool) -> None:
    token, key = token_for(plane), joining.new_key()
    join(plane, token, key=key)
    if deleted:
        plane.services.fleet.delete_node("quay-1")
    else:
        join(plane, token_for(plane))
    with pytest.raises(InvalidToken, match="used already"):
        join(plane, token, key=key)


def test_a_token_for_any_box_takes_the_name_the_box_wishes(plane: SimControlPlane) -> None:
    assert join(plane, token_for(plane, None), node="quay-7").node == "quay-7"


def test_a_box_that_wishes_no_name_is_called_as_its_token_says_else_as_its_host(plane: SimControlPlane) -> None:
    assert join(plane, token_for(plane, None), host_name="debian").node == "debian"
    assert join(plane, token_for(plane), host_name="debian").node == QUAY


def test_a_box_without_a_name_gets_one(plane: SimControlPlane) -> None:
    assert join(plane, token_for(plane, None)).node.startswith("box-")


@pytest.mark.parametrize("name", ["Quay", "quay/1", "#", "+", "-x", "a" * 64, "_controlplane"])
def test_a_name_that_would_be_unsafe_in_a_topic_is_refused(plane: SimControlPlane, name: str) -> None:
    with pytest.raises(Rejected, match="must be 1 to 63"):
        join(plane, token_for(plane, None), node=name)


def test_a_token_for_any_box_cannot_take_over_a_node_that_exists(plane: SimControlPlane) -> None:
    join(plane, token_for(plane))
    with pytest.raises(Conflict, match="there is a node quay-1 already"):
        join(plane, token_for(plane, None), node="quay-1")


def test_a_new_token_for_a_node_lets_its_reinstalled_box_back_in(plane: SimControlPlane) -> None:
    first = join(plane, token_for(plane))
    uid = node_row(plane, "quay-1").uid
    again = join(plane, token_for(plane, labels={"berth": "7"}))
    assert node_row(plane, "quay-1").uid == uid
    assert node_row(plane, "quay-1").labels == {"site": "hamburg", "berth": "7"}
    assert plane.identity.device(again.certificate.pem.encode()) == "quay-1"
    with pytest.raises(Unauthenticated):
        plane.identity.device(first.certificate.pem.encode())


def test_a_bad_certificate_request_does_not_spend_the_token(plane: SimControlPlane) -> None:
    token = token_for(plane)
    with pytest.raises(Rejected, match="certificate request"):
        plane.identity.enrol(token, "nonsense", Wish(""), "10.0.0.9")
    assert join(plane, token).node == "quay-1"


@pytest.mark.parametrize(
    "labels", [{"a b": "c"}, {"a": "c d"}, {"": "x"}, {"a": "x" * 64}, {str(n): "" for n in range(65)}]
)
def test_labels_that_break_the_rules_are_refused(plane: SimControlPlane, labels: dict[str, str]) -> None:
    with pytest.raises(Rejected, match="label"):
        join(plane, token_for(plane), labels=labels)


@pytest.mark.parametrize("ttl", [0, -5, 31 * 86_400])
def test_a_token_lives_for_at_most_a_month(plane: SimControlPlane, ttl: int) -> None:
    with pytest.raises(Rejected, match="--ttl"):
        token_for(plane, ttl=ttl)


def test_only_a_hash_of_the_secret_is_stored(plane: SimControlPlane, tmp_path: Path) -> None:
    secret = tokens.parse(token_for(plane)).secret
    plane.database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("longshore.db*"))
    assert secret.encode() not in stored
    assert b"quay-1" in stored


def test_guessing_is_slowed_down_after_twenty_wrong_tokens(plane: SimControlPlane, clock: FakeClock) -> None:
    good = token_for(plane)
    for _ in range(int(Guesses.BURST)):
        with pytest.raises(InvalidToken):
            join(plane, str(replace(tokens.parse(good), secret="x" * 43)))
    with pytest.raises(Retryable, match="wait a minute"):
        join(plane, good)
    clock.tick(11)
    assert join(plane, good).node == "quay-1"


def test_one_address_that_guesses_does_not_lock_out_another(plane: SimControlPlane) -> None:
    good = token_for(plane)
    for _ in range(int(Guesses.BURST) + 1):
        with pytest.raises((InvalidToken, Retryable)):
            join(plane, "nonsense")
    joined = plane.identity.enrol(good, joining.new_request(), Wish(""), "10.0.0.10")
    assert joined.node == "quay-1"


def test_renewal_gives_a_fresh_certificate_and_the_old_one_works_on(plane: SimControlPlane) -> None:
    first = join(plane, token_for(plane)).certificate
    fresh = plane.identity.renew(QUAY, joining.new_request())
    assert fresh.serial != first.serial
    assert {plane.identity.device(each.pem.encode()) for each in (first, fresh)} == {"quay-1"}


def test_a_deleted_node_is_known_no_more_and_cannot_renew(plane: SimControlPlane) -> None:
    joined = join(plane, token_for(plane))
    plane.services.fleet.delete_node("quay-1")
    with pytest.raises(Unauthenticated, match="join again"):
        plane.identity.device(joined.certificate.pem.encode())
    with pytest.raises(NotFound, match="join again"):
        plane.identity.renew(QUAY, joining.new_request())


def test_a_deleted_node_may_come_back_with_any_new_token_as_a_new_one(plane: SimControlPlane) -> None:
    join(plane, token_for(plane))
    before = node_row(plane, "quay-1")
    plane.services.fleet.delete_node("quay-1")
    plane.clock.tick(60)
    assert join(plane, token_for(plane, None, {}), node="quay-1").node == "quay-1"
    after = node_row(plane, "quay-1")
    assert (after.uid == before.uid, after.created_ms - before.created_ms, after.labels) == (False, 60_000, {})


def test_a_certificate_nobody_gave_is_nobody_s(plane: SimControlPlane) -> None:
    stranger = LocalAuthority(*new_ca(plane.clock.unix())).sign_device(
        joining.new_request(), QUAY, plane.clock.unix(), 7
    )
    for shown in (stranger.pem.encode(), b"", b"\xff\xfe"):
        with pytest.raises(Unauthenticated):
            plane.identity.device(shown)


# ---- late renewal ----


class Box:
    """A box that joined, and what it may send when its certificate has expired."""

    def __init__(self, plane: SimControlPlane) -> None:
        self.plane = plane
        self.key = joining.new_key()
        self.certificate = join(plane, token_for(plane), key=self.key).certificate

    def renew(
        self, certificate: str = "", key: ec.EllipticCurvePrivateKey | None = None, origin: str = "box"
    ) -> NodeId:
        """Who the fresh certificate is for."""
        request = joining.new_request()
        proof = joining.proof(key or self.key, request)
        issued = self.plane.identity.renew_late(certificate or self.certificate.pem, request, proof, origin)
        assert issued.not_after_ms == (self.plane.clock.unix() + 7 * DAY) * 1000
        return self.plane.identity.device(issued.pem.encode())


@pytest.fixture
def box(plane: SimControlPlane) -> Box:
    return Box(plane)


@pytest.mark.parametrize("days", [1, 8, 97])
def test_a_box_away_for_up_to_ninety_days_after_expiry_renews(box: Box, days: int) -> None:
    box.plane.clock.tick(days * DAY)
    assert [box.renew() for _ in range(2)] == ["quay-1"] * 2  # the first answer may get lost


def test_a_renewal_after_expiry_is_in_the_log_with_its_node(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.plane.clock.tick(37 * DAY)
    box.renew(origin="10.0.0.9")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "node quay-1, from 10.0.0.9, renewed its certificate 30.0 days after it expired"


def test_later_than_ninety_days_after_expiry_the_box_joins_again(box: Box) -> None:
    box.plane.clock.tick(97 * DAY + 1)
    with pytest.raises(Unauthenticated, match="more than 90 days ago; join again with a new token"):
        box.renew()


def test_a_revoked_certificate_is_not_renewed(box: Box) -> None:
    join(box.plane, token_for(box.plane))
    with pytest.raises(Unauthenticated, match="no longer accepted"):
        box.renew()


def test_a_certificate_of_a_deleted_node_is_not_renewed(box: Box) -> None:
    box.plane.services.fleet.delete_node("quay-1")
    with pytest.raises(Unauthenticated, match="no longer accepted"):
        box.renew()


def test_without_the_key_a_certificate_is_worth_nothing(box: Box) -> None:
    with pytest.raises(Unauthenticated, match="not signed with the key"):
        box.renew(key=joining.new_key())
    request = joining.new_request()
    with pytest.raises(Unauthenticated, match="not signed with the key"):
        box.plane.identity.renew_late(
            box.certificate.pem, request, joining.proof(box.key, joining.new_request()), "box"
        )


def test_a_certificate_beside_another_is_not_taken_for_it(box: Box) -> None:
    """What was proven and what is looked up are one and the same."""
    stranger = joining.new_key()
    foreign = LocalAuthority(*new_ca(box.plane.clock.unix())).sign_device(
        joining.request_of(stranger), QUAY, box.plane.clock.unix(), 7
    )
    for pem in (foreign.pem, foreign.pem + box.certificate.pem):
        with pytest.raises(Unauthenticated, match="no longer accepted"):
            box.renew(pem, stranger)
    with pytest.raises(Unauthenticated):
        box.renew(box.certificate.pem + foreign.pem, stranger)


@pytest.mark.parametrize("pem", ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not_renewed(box: Box, pem: str) -> None:
    with pytest.raises(Unauthenticated, match="no certificate of a box"):
        box.renew(pem)


def test_late_renewal_can_be_switched_off(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "strict").mkdir()
    plane = SimControlPlane(tmp_path / "strict", clock, late_renewal_days=0)
    box = Box(plane)
    clock.tick(8 * DAY)
    with pytest.raises(Forbidden, match="no expired certificate is renewed here"):
        box.renew()
    plane.close()


def test_guessing_proofs_is_slowed_down(box: Box) -> None:
    for _ in range(int(Guesses.BURST)):
        with pytest.raises(Unauthenticated):
            box.renew(key=joining.new_key())
    with pytest.raises(Retryable, match="wait a minute"):
        box.renew()
    assert box.renew(origin="elsewhere") == "quay-1"


def test_a_certificate_is_renewed_over_http_as_protobuf_s_json_says_it(box: Box) -> None:
    request = joining.new_request()
    proof = base64.b64encode(joining.proof(box.key, request)).decode()
    body = {"certificatePem": box.certificate.pem, "csrPem": request, "proof": proof, "new": 1}
    answer = box.plane.stranger.post("/api/v1/renew", json=body)
    assert (answer.status_code, set(answer.json())) == (200, {"certificatePem", "caPem", "notAfterUnixMs"})
    refused = box.plane.stranger.post("/api/v1/renew", json={**body, "csrPem": joining.new_request()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated")
    assert box.plane.stranger.post("/api/v1/renew", json={**body, "proof": "A"}).status_code == 422


# ---- what is over ----


def test_what_is_over_is_forgotten_after_a_while(box: Box) -> None:
    plane = box.plane
    for days in (8, 90):
        plane.clock.tick(days * DAY)
        plane.identity.sweep()
        assert (len(plane.identity.join_tokens()), certificates(plane)) == (0, 1)
    plane.clock.tick(DAY)
    plane.identity.sweep()
    assert certificates(plane) == 0


def test_a_token_is_shown_for_a_week_after_it_expired(box: Box) -> None:
    box.plane.clock.tick(7 * DAY)
    box.plane.identity.sweep()
    assert [token.used_by for token in box.plane.identity.join_tokens()] == ["quay-1"]


def certificates(plane: SimControlPlane) -> int:
    with plane.database.read() as session:
        return session.query(tables.Certificate).count()
