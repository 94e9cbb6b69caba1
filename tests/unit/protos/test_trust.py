"""Fields of signed metadata: written and read, and what no signer of ours writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protos import trust
from protos.errors import InvalidManifest, InvalidName
from protos.ids import DeploymentName, ModelName, Version, digest_of
from protos.trust import Assignment, Listing

DIGEST = digest_of(b"manifest")
LISTED = Listing(
    model=ModelName("harbour"),
    version=Version("1.2.0+site"),
    digest=DIGEST,
    size=812,
    number=7,
    task="detection",
    floor=3,
    device_classes=("x86_64-cpu", "aarch64-cuda"),
    minimum_agent="0.3.0",
    signed_ms=1_795_000_000_000,
    signed_by="ann@quay",
)


def read(listed: Listing, **changed: Any) -> Listing:
    custom = trust.listing_custom(listed) | changed
    return trust.listing(listed.path, listed.size, trust.hashes(listed.digest), custom)


def test_what_is_written_of_a_release_is_read_as_it_was() -> None:
    assert read(LISTED) == LISTED
    assert read(replace(LISTED, floor=0, device_classes=(), minimum_agent="", signed_by="")).device_classes == ()


def test_fields_of_a_newer_signer_are_kept() -> None:
    found = read(LISTED, sbom="sha256:00")

    assert found.unknown == {"sbom": "sha256:00"}
    assert trust.listing_custom(found)["sbom"] == "sha256:00"


@pytest.mark.parametrize(
    "changed",
    [
        {"release": 0},
        {"release": -1},
        {"release": True},
        {"release": "7"},
        {"release": 1 << 60},
        {"floor": -1},
        {"task": "mining"},
        {"deviceClasses": "x86_64-cpu"},
        {"deviceClasses": [1]},
        {"minimumAgent": 3},
        {"version": "1.2.1"},
        {"model": "harbor"},
    ],
)
def test_what_no_signer_of_ours_writes_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest, match="signed metadata"):
        read(LISTED, **changed)


def test_a_name_that_breaks_its_rule_is_refused() -> None:
    with pytest.raises(InvalidName):
        read(LISTED, model="../harbour")


def test_a_target_needs_its_sha256_and_a_sane_length() -> None:
    with pytest.raises(InvalidManifest, match="no SHA-256"):
        trust.listing(LISTED.path, LISTED.size, {"sha512": "00"}, trust.listing_custom(LISTED))
    with pytest.raises(InvalidManifest, match="length"):
        trust.listing(LISTED.path, 1 << 40, trust.hashes(DIGEST), trust.listing_custom(LISTED))


@pytest.mark.parametrize("shadow", [False, True])
def test_an_assignment_is_read_as_it_was(*, shadow: bool) -> None:
    wanted = Assignment(DeploymentName("gate"), LISTED.model, LISTED.version, DIGEST, 812, shadow=shadow)

    custom = trust.assignment_custom(wanted)
    found = trust.assignment(wanted.deployment, wanted.size, trust.hashes(wanted.digest), custom, shadow=shadow)

    assert found == wanted
    assert found.path == ("assign/gate/shadow" if shadow else "assign/gate/release")
