"""Names: what may be one, and that nothing else passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import ids
from protos.errors import InvalidName

NAMES: list[Callable[[str], str]] = [
    ids.name,
    ids.node_id,
    ids.camera_name,
    ids.deployment_name,
    ids.model_name,
]


@pytest.mark.parametrize("made", NAMES)
def test_a_name_is_lower_case_letters_digits_and_hyphens(made: Callable[[str], str]) -> None:
    for text in ("a", "0", "quay-1", "a--b-", "x" * 63):
        assert made(text) == text
    for text in ("", "-a", "A", "a_b", "a.b", "a/b", "a+b", "#", "..", "a\n", "a ", "ä", "١", "x" * 64):
        with pytest.raises(InvalidName, match="must be 1 to 63 of a-z, 0-9 and '-'"):
            made(text)


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (ids.node_id, "node id"),
        (ids.camera_name, "camera name"),
        (ids.deployment_name, "deployment name"),
        (ids.model_name, "model name"),
    ],
)
def test_a_refusal_says_what_was_named(made: Callable[[str], str], what: str) -> None:
    with pytest.raises(InvalidName, match=f"^{what} 'No' must be"):
        made("No")


@given(st.text(max_size=70))
def test_no_text_that_passes_reaches_outside_of_a_topic_or_folder(text: str) -> None:
    try:
        passed = ids.name(text)
    except InvalidName:
        return
    assert not set(passed) & set("/\\+#.\0\n ")
    assert passed.isascii()


def test_a_version_is_free_text_without_slashes_and_spaces() -> None:
    for text in ("1.0.0", "2026-11-23", "1.0.0-rc.1+build_7", "A", "9" * 63):
        assert ids.version(text) == text
    for text in ("", ".1", "-1", "1/0", "1 0", "1\n", "ä", "1" * 64, "../x"):
        with pytest.raises(InvalidName, match="must be 1 to 63 letters, digits"):
            ids.version(text)


def test_a_release_is_a_model_and_a_version() -> None:
    assert ids.release("harbour@1.0.0") == ("harbour", "1.0.0")
    for text in ("", "harbour", "harbour@", "@1.0.0"):
        with pytest.raises(InvalidName, match=r"^spec.release '.*' must read NAME@VERSION, such as harbour@1.1.0$"):
            ids.release(text, "spec.release")
    with pytest.raises(InvalidName, match="model name 'No' must be"):
        ids.release("No@1")
    with pytest.raises(InvalidName, match="version '1@2' must be"):
        ids.release("harbour@1@2")


def test_a_digest_is_written_in_one_way() -> None:
    digest = ids.digest_of(b"abc")
    assert digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert ids.digest(digest) == digest
    assert ids.hex_of(digest) == digest[7:]
    for text in ("", digest[7:], digest.upper(), digest[:-1], digest + "0", digest + "\n", "sha1:" + digest[7:]):
        with pytest.raises(InvalidName, match="must be 'sha256:' and 64 lower-case hex digits"):
            ids.digest(text)


def test_no_node_id_is_another_host_under_the_name_of_its_certificate() -> None:
    assert ids.node_host(ids.node_id("quay-1")) == "quay-1.node.longshore.internal"


@pytest.mark.parametrize("odd", ["\0", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\ud800"])
def test_one_line_of_text_holds_no_control_character_and_no_half_of_a_pair(odd: str) -> None:
    assert not ids.is_one_line(f"a{odd}b")


@pytest.mark.parametrize("text", ["", "boat", "Kran №3", "漁船", "🚢", "a b\u00a0c"])
def test_any_other_text_is_one_line(text: str) -> None:
    assert ids.is_one_line(text)
