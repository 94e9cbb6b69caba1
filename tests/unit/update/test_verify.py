"""Bytes become a VerifiedRelease only when every one of them is what its digest names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import Damaged
from agent.trust.agreement import confirmed_before
from agent.update import verify
from agent.update.verify import FileFacts
from protos.errors import InvalidManifest, Rejected
from protos.ids import Digest, digest_of
from tests.sim import releases

PROOFS = {"VerifiedRelease", "VerifiedBytes"}
APPROVED = {"Approval", "confirmed_before"}
RELEASE = releases.make("1.0.0", 4_000)
LEAVE = confirmed_before(RELEASE.digest)


def facts(release: releases.MadeRelease) -> dict[str, FileFacts]:
    described = verify.manifest(release.manifest, release.digest)
    return {entry.path: FileFacts(entry.size, entry.digest) for entry in described.files}


def test_a_release_as_it_was_pushed_is_verified() -> None:
    release = verify.verify(RELEASE.manifest, LEAVE, facts(RELEASE))
    assert (release.digest, release.manifest.version) == (RELEASE.digest, "1.0.0")


@settings(max_examples=200)
@given(st.integers(0, len(RELEASE.manifest) - 1), st.integers(1, 255))
def test_any_changed_byte_of_the_manifest_is_refused(position: int, change: int) -> None:
    changed = bytearray(RELEASE.manifest)
    changed[position] ^= change
    with pytest.raises(Damaged):
        verify.verify(bytes(changed), LEAVE, facts(RELEASE))


@pytest.mark.parametrize("path", ["model.onnx", "labels.txt", "card.md"])
def test_a_changed_file_is_refused_by_name(path: str) -> None:
    known = facts(RELEASE)
    wrong = {**known, path: FileFacts(known[path].size, digest_of(b"another"))}
    with pytest.raises(Damaged, match=path) as refused:
        verify.verify(RELEASE.manifest, LEAVE, wrong)
    assert refused.value.digests == (known[path].digest,)


def test_of_a_file_that_was_proven_when_it_came_the_disk_is_blamed_and_of_others_the_way() -> None:
    known = facts(RELEASE)
    wrong = {path: FileFacts(each.size, digest_of(b"another")) for path, each in known.items()}
    one = {**known, "model.onnx": wrong["model.onnx"]}
    with pytest.raises(Damaged, match="what lies on this box's disk is not what was signed"):
        verify.verify(RELEASE.manifest, LEAVE, one, {"model.onnx", "card.md"})
    with pytest.raises(Damaged, match="it was changed on the way"):
        verify.verify(RELEASE.manifest, LEAVE, one, {"card.md"})
    with pytest.raises(Damaged, match="it was changed on the way"):
        verify.verify(RELEASE.manifest, LEAVE, wrong, {"model.onnx"})
    with pytest.raises(Damaged, match="the manifest on this box's disk is not"):
        verify.manifest(b"{}", RELEASE.digest, kept=True)


def test_a_file_of_another_size_is_refused() -> None:
    known = facts(RELEASE)
    longer = {**known, "model.onnx": FileFacts(known["model.onnx"].size + 1, known["model.onnx"].digest)}
    with pytest.raises(Damaged):
        verify.verify(RELEASE.manifest, LEAVE, longer)


def test_a_missing_file_is_refused() -> None:
    known = facts(RELEASE)
    del known["labels.txt"]
    with pytest.raises(Damaged, match=r"labels\.txt"):
        verify.verify(RELEASE.manifest, LEAVE, known)


def test_the_right_bytes_of_a_bad_manifest_are_refused_for_good() -> None:
    bad = b'{"schemaVersion": 99}'
    with pytest.raises(InvalidManifest):
        verify.verify(bad, confirmed_before(digest_of(bad)), {})


def test_a_file_that_changed_on_disk_after_verification_does_not_reach_the_loader() -> None:
    entry = verify.manifest(RELEASE.manifest, RELEASE.digest).file("model.onnx")
    assert verify.content_of(entry, RELEASE.model) == RELEASE.model
    with pytest.raises(Damaged, match="changed on this box"):
        verify.content_of(entry, RELEASE.model[:-1] + b"?")


def test_a_damaged_release_is_a_rejected_one() -> None:
    assert issubclass(Damaged, Rejected)


def test_nobody_but_verify_makes_a_verified_release() -> None:
    assert makers(PROOFS) == {"agent/update/verify.py"}


def test_nobody_but_the_agreement_makes_an_approval_and_one_alone_adopts_what_was_confirmed_before() -> None:
    assert makers(APPROVED) == {"agent/trust/agreement.py", "agent/trust/kept.py"}


def makers(names: set[str]) -> set[str]:
    """Modules that call one of these."""
    calls = {path: [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)] for path in sources()}
    return {str(path) for path, found in calls.items() if {name_of(call) for call in found} & names}


def sources() -> list[Path]:
    return list(Path("agent").rglob("*.py"))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func).split(".")[-1]


def test_digests_are_compared_as_text_of_one_form() -> None:
    with pytest.raises(Damaged):
        verify.manifest(RELEASE.manifest, Digest(RELEASE.digest.upper()))
