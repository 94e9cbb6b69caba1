"""People, API tokens and the audit on the command line."""

from __future__ import annotations

import json

from tests.sim.command import Run


def test_an_invitation_makes_somebody_known_and_prints_the_link_alone(longshore: Run) -> None:
    invited = longshore("invite", "ann", "--role", "operator")
    assert (invited.code, invited.err) == (0, "person/ann created\n")
    assert "/signin?code=" in invited.out
    assert len(invited.out.splitlines()) == 1
    row = next(line for line in longshore("get", "people").out.splitlines() if line.startswith("ann"))
    assert row.split()[1:4] == ["operator", "0", "0"]


def test_a_second_link_leaves_the_role_as_it_is(longshore: Run) -> None:
    longshore("invite", "ann", "--role", "operator")
    assert longshore("invite", "ann").err == ""
    assert json.loads(longshore("get", "person", "ann", "-o", "json").out)["spec"]["role"] == "operator"


def test_people_can_be_edited_described_and_deleted_as_any_object(longshore: Run) -> None:
    longshore("invite", "ann")
    assert "role:  viewer" in longshore("describe", "person", "ann").out
    assert longshore("delete", "person", "ann").out == "person/ann deleted\n"
    assert longshore("delete", "person", "admin").code == 1


def test_a_services_token_works_with_its_role_until_it_is_deleted(longshore: Run) -> None:
    made = longshore("apitoken", "create", "ci")
    token = made.out.strip()
    assert longshore("--token", token, "get", "nodes").code == 0
    told = longshore("--token", token, "whoami").out
    assert told.startswith("ci, with the role viewer, by the API token ci, at http://")
    refused = longshore("--token", token, "token", "create")
    assert (refused.code, "ci is a viewer here" in refused.err) == (1, True)
    listed = json.loads(longshore("apitoken", "list", "-o", "json").out)["items"]
    which = next(each["id"] for each in listed if each["name"] == "ci")
    assert longshore("apitoken", "delete", which).code == 0
    assert longshore("--token", token, "get", "nodes").code == 1


def test_the_audit_shows_who_did_what(longshore: Run) -> None:
    assert longshore("audit").err == "nothing was changed\n"
    longshore("invite", "ann", "--role", "viewer")
    assert [line.split()[-2:] for line in longshore("audit").out.splitlines()[1:]] == [
        ["invite", "people/ann"],
        ["create", "people/ann"],
    ]


def test_role_and_person_do_not_go_together(longshore: Run) -> None:
    assert longshore("apitoken", "create", "x", "--person", "ann", "--role", "admin").code == 2
