"""The one way to put a file under its final name: whole and durable, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from agent.adapters import files
from agent.errors import DiskFull
from protos.errors import Fatal, LongshoreError, Retryable
from tests.sim import durability


def test_content_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: modes.append(os.fstat(descriptor).st_mode & 0o777))
    files.write_atomic(tmp_path / "key.pem", b"secret", 0o600)
    assert modes[0] == 0o600


class PowerCut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("nth", range(3))
def test_a_power_cut_at_any_call_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    where = Path if call == "replace" else os
    real, calls = getattr(where, call), iter(range(10))

    def cut(*arguments: object, **more: object) -> object:
        if next(calls) == nth:
            raise PowerCut
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(where, call, cut)
        with contextlib.suppress(PowerCut):
            files.write_atomic(path, b"new")
    assert path.read_bytes() in (b"old", b"new")


def test_what_a_crash_left_beside_is_gone_after_the_next_write(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"half of it")
    files.write_atomic(tmp_path / "file", b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_file_then_rename_then_directory_are_made_durable_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = durability.named(monkeypatch)
    files.write_atomic(tmp_path / "file", b"content")
    part = tmp_path / "part"
    part.write_bytes(b"blob")
    files.finalise(part, tmp_path / "blob")
    assert order == ["file", "rename", "folder"] * 2


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, Fatal),
        (errno.EACCES, Fatal),
        (errno.EIO, Retryable),
    ],
)
def test_each_trouble_of_a_disk_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[LongshoreError]
) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, b"old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(kind):
            files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
