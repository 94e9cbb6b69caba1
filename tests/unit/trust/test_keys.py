"""Files of keys: closed to others, and each written once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.signing.keys import new_key, read_key, read_public, write_key, write_pair
from protos import trust
from protos.errors import Fatal
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane


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


def test_a_public_half_takes_the_place_of_nothing(tmp_path: Path) -> None:
    key = new_key()
    assert write_pair(tmp_path / "bo.1", key) == tmp_path / "bo.pub"
    assert read_public(tmp_path / "bo.pub") == key.public_key
    with pytest.raises(Fatal, match=r"bo\.pub is there already"):
        write_pair(tmp_path / "bo.2", new_key())
    with pytest.raises(Fatal, match=r"name it cy\.key"):
        write_pair(tmp_path / "cy.pub", new_key())
    (tmp_path / "bo.pub").rename(tmp_path / "given")
    with pytest.raises(Fatal, match=r"bo\.1 is there already"):
        write_pair(tmp_path / "bo.1", new_key())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bo.1", "given"]
    assert read_key(tmp_path / "bo.1").public_key == key.public_key


@pytest.mark.parametrize("damaged", ["other.uri", "other.key"])
def test_a_file_that_tells_no_online_key_keeps_no_other_from_signing(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "state").mkdir()
    plane = SimControlPlane(tmp_path / "state", FakeClock(unix=1_795_000_000))
    for odd in (Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe"), lambda path: path.symlink_to("nowhere")):
        odd(plane.config.folder / "trust" / damaged)
        assert all(each.held for each in plane.services.trust.roles() if each.document.role in trust.ONLINE)
        plane.clock.tick(5 * 86_400)
        plane.services.trust.keep_fresh()
        path = plane.config.folder / "trust" / damaged
        path.rmdir() if path.is_dir() else path.unlink()
    plane.close()
