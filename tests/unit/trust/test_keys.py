"""Files of keys: closed to others, and each written once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.signing.keys import new_key, read_key, write_key
from protos.errors import Fatal


def test_a_key_is_private_from_its_first_byte_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    path, first = tmp_path / "release.key", new_key()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: modes.append(os.fstat(descriptor).st_mode & 0o777))
        write_key(path, first)
    assert modes[0] == 0o600
    with pytest.raises(Fatal, match="never overwritten"):
        write_key(path, new_key())
    assert read_key(path).public_key == first.public_key
