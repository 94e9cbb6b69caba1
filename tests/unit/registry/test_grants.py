"""File grants: good for one box and a short while, forged by nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.errors import Unauthenticated
from controlplane.registry.grants import Grant, Grants, is_grant
from protos.ids import NodeId

GRANTS = Grants(b"k" * 32)
QUAY = NodeId("quay-1")


def test_a_grant_names_its_box_until_it_expires() -> None:
    bearer = GRANTS.give(QUAY, 1_000)
    assert is_grant(bearer)
    assert GRANTS.check(bearer, 999) == Grant(QUAY, 1_000)


def test_an_expired_grant_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        GRANTS.check(GRANTS.give(QUAY, 1_000), 1_000)


@pytest.mark.parametrize("change", [("quay-1", "quay-2"), (".1000.", ".9999."), ("lsg", "lsk")])
def test_a_changed_grant_is_refused(change: tuple[str, str]) -> None:
    with pytest.raises(Unauthenticated, match="not ours"):
        GRANTS.check(GRANTS.give(QUAY, 1_000).replace(*change), 0)


def test_a_grant_of_another_control_plane_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="not ours"):
        GRANTS.check(Grants(b"j" * 32).give(QUAY, 1_000), 0)


@given(st.text())
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        GRANTS.check(text, 0)


def test_the_key_never_shows() -> None:
    assert "kkk" not in repr(GRANTS)
