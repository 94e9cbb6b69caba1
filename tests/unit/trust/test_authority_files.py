"""The CA on disk: made once, kept for ever, closed to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from controlplane.adapters.authority_files import load_or_create, write_pair
from controlplane.adapters.tls import ServerCertificate
from controlplane.files import finalise, private_bytes, write_atomically
from protos.errors import Fatal
from tests.sim import durability
from tests.sim.clock import FakeClock

NOW = 1_795_000_000.0


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_second_start_finds_the_same_ca(tmp_path: Path) -> None:
    assert load_or_create(tmp_path, NOW).ca_pin == load_or_create(tmp_path, NOW + 1).ca_pin


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    authority = load_or_create(tmp_path / "ca", NOW)
    _, key = write_pair(tmp_path / "ca", "broker", authority.issue_server(("localhost",), NOW, 1))
    assert (mode(tmp_path / "ca"), mode(tmp_path / "ca" / "ca.key"), mode(key)) == (0o700, 0o600, 0o600)


def test_a_ca_without_its_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    load_or_create(tmp_path, NOW)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(Fatal, match="every box must join again"):
        load_or_create(tmp_path, NOW)


def test_a_start_cut_off_before_the_certificate_was_written_begins_anew(tmp_path: Path) -> None:
    load_or_create(tmp_path, NOW)
    (tmp_path / "ca.pem").unlink()
    assert load_or_create(tmp_path, NOW).ca_pem.startswith("-----BEGIN CERTIFICATE-----")


def test_a_secret_file_is_made_once(tmp_path: Path) -> None:
    assert private_bytes(tmp_path / "grant.key") == private_bytes(tmp_path / "grant.key")
    assert mode(tmp_path / "grant.key") == 0o600


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "a", "not bytes")  # type: ignore[arg-type]  # the failure is the point
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_file_then_rename_then_folder_are_made_durable_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = durability.named(monkeypatch)
    write_atomically(tmp_path / "file", b"content")
    part = tmp_path / "part"
    part.write_bytes(b"blob")
    finalise(part, tmp_path / "blob")
    assert order == ["file", "rename", "folder"] * 2


def test_the_server_certificate_is_renewed_from_half_of_its_life_on(tmp_path: Path, clock: FakeClock) -> None:
    authority = load_or_create(tmp_path, clock.unix())
    certificate = ServerCertificate(authority, ("localhost",), clock, tmp_path)
    first = (tmp_path / "server.pem").read_text()
    clock.tick(14 * 86_400)
    assert not certificate.renew_if_due()
    clock.tick(2 * 86_400)
    assert certificate.renew_if_due()
    assert (tmp_path / "server.pem").read_text() != first
    assert not certificate.renew_if_due()


def test_grpc_is_told_of_a_renewal_once_and_else_nothing(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Callable[[], object]] = []

    def credentials(_first: object, renewed: Callable[[], object], **_options: object) -> None:
        asked.append(renewed)

    monkeypatch.setattr(grpc, "dynamic_ssl_server_credentials", credentials)
    certificate = ServerCertificate(load_or_create(tmp_path, clock.unix()), ("localhost",), clock, tmp_path)
    certificate.credentials()
    assert [asked[0](), asked[0]()] == [None, None]
    clock.tick(16 * 86_400)
    certificate.renew_if_due()
    assert asked[0]() is not None
    assert asked[0]() is None
