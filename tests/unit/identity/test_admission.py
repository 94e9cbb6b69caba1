"""How a box gets in: one token, one use, one name; every other way gets its own sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane import tables
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.errors import Conflict, NotFound, Unauthenticated
from controlplane.identity.domain import Guesses, Wish
from controlplane.identity.service import Joined
from protos import tokens
from protos.errors import InvalidToken, Rejected, Retryable
from protos.ids import NodeId
from tests.sim import joining
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

QUAY = NodeId("quay-1")
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
) -> Joined:
    return plane.identity.enrol(token, joining.new_request(), Wish(node, labels or {}, role, host_name), "10.0.0.9")


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
    with pytest.raises(InvalidToken, match="is for role edge; make another with 'longshore token create' --role cloud"):
        join(plane, token_for(plane), role="cloud")


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


def test_a_deleted_node_may_come_back_with_any_new_token(plane: SimControlPlane) -> None:
    join(plane, token_for(plane))
    plane.services.fleet.delete_node("quay-1")
    assert join(plane, token_for(plane, None), node="quay-1").node == "quay-1"


def test_a_certificate_nobody_gave_is_nobody_s(plane: SimControlPlane) -> None:
    stranger = LocalAuthority(*new_ca(plane.clock.unix())).sign_device(
        joining.new_request(), QUAY, plane.clock.unix(), 7
    )
    for shown in (stranger.pem.encode(), b"", b"\xff\xfe"):
        with pytest.raises(Unauthenticated):
            plane.identity.device(shown)
