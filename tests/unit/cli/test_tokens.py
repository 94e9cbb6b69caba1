"""Join tokens on the command line."""

from __future__ import annotations

import json

from controlplane.identity.domain import Wish
from protos import tokens
from tests.sim.box_key import new_key
from tests.sim.command import Run
from tests.sim.control_plane import SimControlPlane


def test_a_token_is_printed_alone_when_quiet(longshore: Run, house: SimControlPlane) -> None:
    shown = longshore("token", "create", "quay-1", "--label", "site=quay", "-q")
    assert (shown.code, shown.err) == (0, "")
    assert tokens.parse(shown.out).ca_pin == house.authority.ca_pin


def test_a_token_comes_with_the_line_to_run_on_the_box(longshore: Run) -> None:
    shown = longshore("token", "create")
    assert shown.out.startswith("LS1.")
    assert "longshore-agent join" in shown.err


def test_the_line_for_the_box_lets_a_cloud_node_in_as_it_stands(longshore: Run, house: SimControlPlane) -> None:
    shown = longshore("token", "create", "--role", "cloud")
    assert "--role" not in shown.err  # the token says it
    joined = house.identity.enrol(shown.out.strip(), new_key().csr_pem, Wish("cloud-1"), "test")
    assert joined.role == "cloud"


def test_tokens_are_listed_without_their_secrets_and_deleted(longshore: Run) -> None:
    token = tokens.parse(longshore("token", "create", "quay-1", "--role", "cloud", "-q").out)
    listed = longshore("token", "list").out
    assert token.secret not in listed
    assert [token.token_id, "quay-1", "cloud"] == listed.splitlines()[1].split()[:3]
    document = json.loads(longshore("token", "list", "-o", "json").out)
    assert (document["apiVersion"], document["kind"]) == ("longshore/v1", "JoinTokenList")
    assert [item["nodeId"] for item in document["items"]] == ["quay-1"]
    assert longshore("token", "delete", token.token_id).code == 0
    assert longshore("token", "delete", token.token_id).code == 4
    assert longshore("token", "list").err == "no join tokens\n"


def test_a_token_that_is_gone_keeps_no_other_from_being_deleted(longshore: Run) -> None:
    token = tokens.parse(longshore("token", "create", "-q").out)
    done = longshore("token", "delete", "0123456789ab", token.token_id)
    assert (done.code, done.out) == (4, f"token/{token.token_id} deleted\n")
    assert "token/0123456789ab not deleted: " in done.err


def test_a_used_token_shows_as_used(longshore: Run, house: SimControlPlane) -> None:
    token = longshore("token", "create", "-q").out.strip()
    house.identity.enrol(token, new_key().csr_pem, Wish("quay-1", {}, ""), "test")
    assert "used" in longshore("token", "list").out


def test_a_wrong_label_or_lifetime_is_refused(longshore: Run) -> None:
    assert "label 'site' must be KEY=VALUE" in longshore("token", "create", "--label", "site").err
    assert longshore("token", "create", "--ttl", "1y").code == 1
