"""Keys made before anything runs, for installations that hand them in."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from controlplane import main
from controlplane.adapters.authority_files import load_or_create
from controlplane.config import Config
from controlplane.wiring import build

NOW = 1_795_000_000.0


def pki(folder: Path) -> int:
    return main.main(["pki", "--out", str(folder), "--broker-host", "broker.example"])


def test_the_files_are_an_authority_and_a_pair_that_it_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pki(tmp_path / "keys") == 0
    context = ssl.create_default_context(cafile=str(tmp_path / "keys" / "ca.pem"))
    context.load_cert_chain(tmp_path / "keys" / "broker.pem", tmp_path / "keys" / "broker.key")
    said = capsys.readouterr().out
    assert all(str(tmp_path / "keys" / name) in said for name in ("ca.pem", "ca.key", "broker.pem", "broker.key"))


def test_made_again_the_authority_stays_and_the_brokers_pair_is_new(tmp_path: Path) -> None:
    pki(tmp_path)
    pin, broker = load_or_create(tmp_path, NOW).ca_pin, (tmp_path / "broker.pem").read_text()
    pki(tmp_path)
    assert load_or_create(tmp_path, NOW).ca_pin == pin
    assert (tmp_path / "broker.pem").read_text() != broker


def test_a_control_plane_begins_with_what_was_made_beforehand(tmp_path: Path) -> None:
    pki(tmp_path / "made")
    state = tmp_path / "state" / "controlplane"
    for part in ("ca", "trust"):
        (state / part).mkdir(parents=True)
    for name in ("ca.pem", "ca.key"):
        shutil.copy(tmp_path / "made" / name, state / "ca")
    shutil.copytree(tmp_path / "made" / "trust", state / "trust", dirs_exist_ok=True)
    services = build(Config(state=tmp_path / "state"))
    assert services.trust.root() == (tmp_path / "made" / "keys" / "root.json").read_bytes()
    assert not (tmp_path / "state" / "keys").exists()
    assert all(each.document.verified for each in services.trust.roles())
    services.database.close()


def test_made_again_root_and_keys_stay(tmp_path: Path) -> None:
    pki(tmp_path)
    names = ("trust/online.key", "trust/root.json", "keys/root.json", "keys/release.key", "keys/offline/root.key")
    before = [(tmp_path / name).read_bytes() for name in names]
    pki(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == before


def test_half_an_authority_is_told_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pki(tmp_path)
    (tmp_path / "ca.key").unlink()
    assert pki(tmp_path) == 1
    assert "restore it from a backup" in capsys.readouterr().err
