"""The join token: one line, pin first, never repeated in a message."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import tokens
from protos.errors import InvalidToken
from protos.tokens import JoinToken

TOKEN = JoinToken("ab" * 32, "10bdf0a5409f", "s-_S" * 10 + "abc")
made = st.builds(
    JoinToken,
    ca_pin=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    token_id=st.from_regex(r"[a-z0-9]{8,32}", fullmatch=True),
    secret=st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True),
)


@given(made)
def test_a_token_is_read_as_it_was_written(token: JoinToken) -> None:
    assert tokens.parse(str(token)) == token
    assert tokens.parse(f" {token}\n") == token  # as a paste or `$(…)` may bring it


def test_the_pin_comes_first_and_the_secret_last() -> None:
    assert str(TOKEN) == f"LS1.{TOKEN.ca_pin}.{TOKEN.token_id}.{TOKEN.secret}"


def test_what_is_stored_of_the_secret_is_its_hash() -> None:
    assert TOKEN.secret_hash == hashlib.sha256(TOKEN.secret.encode()).hexdigest()


def test_the_secret_does_not_show_when_a_token_is_looked_at() -> None:
    assert TOKEN.secret not in repr(TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LS1",
        str(TOKEN)[:-1],
        str(TOKEN) + "x",
        str(TOKEN).replace("LS1", "LS2"),
        str(TOKEN).replace("LS1", "ls1"),
        str(TOKEN).replace("abab", "ABAB", 1),
        str(TOKEN).replace(".", ":"),
        f"{TOKEN}\n{TOKEN}",
        str(TOKEN).replace("s-_S", "s/+S", 1),
        str(TOKEN).replace("10bdf0a5409f", "10BDF0A5409F"),
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidToken, match="longshore token create") as refused:
        tokens.parse(text)
    assert not text or text not in str(refused.value)
    assert TOKEN.secret not in str(refused.value)
