"""`up` and the keys that are to be carried away: told once."""

from __future__ import annotations

import io
from pathlib import Path

from controlplane.adapters.trust_files import first_documents
from controlplane.up.options import UpOptions
from controlplane.up.terminal import Screen
from controlplane.up.tree import tell_of_keys


def told(options: UpOptions) -> str:
    stream = io.StringIO()
    tell_of_keys(options, Screen(stream))
    return stream.getvalue()


def test_the_owner_is_told_once_to_carry_the_offline_keys_away(tmp_path: Path) -> None:
    options = UpOptions(state=tmp_path)
    assert told(options) == ""
    first_documents(tmp_path / "controlplane" / "trust", tmp_path / "keys", 1_795_000_000)
    said = told(options)
    assert said.count("\n") == 1
    assert f"carry {tmp_path / 'keys' / 'offline'} away" in said
    assert told(options) == ""


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    first_documents(tmp_path / "trust", tmp_path / "keys", 1_795_000_000)
    found = [*(tmp_path / "keys").rglob("*.key"), *(tmp_path / "trust").rglob("*.key")]
    assert len(found) == 4
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert (tmp_path / "keys" / "offline").stat().st_mode & 0o777 == 0o700
