"""`longshore-agent support-bundle`: what helps, from a box of the first release, and none of the secrets on it."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import bundle
from agent.main import cli
from tests.sim import past

SECRETS = ("open-sesame", "hunter2", "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY")


def packed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The bundle of a box whose camera has a password, with one more in its environment and in its journal."""
    box = past.box(folder / "box", 9, 9)
    monkeypatch.setenv("LONGSHORE_AGENT_BROKER_PASSWORD", "hunter2")
    monkeypatch.setattr(bundle, "_journal", lambda: {"lines": ["open rtsp://admin:hunter2@10.0.0.7/main"]})
    ports = [part for name in ("http", "grpc", "metrics") for part in (f"--{name}-port", "0")]
    asked = ["support-bundle", "-o", str(folder / "box.tar.gz"), "--state-dir", str(box), *ports]
    done = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with tarfile.open(folder / "box.tar.gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name.partition("/")[2]: file.read().decode() for name, file in files.items() if file}


def test_what_helps_is_in_it_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = packed(tmp_path, monkeypatch)
    everything = "\n".join(files.values())
    key = (past.FIRST / "box" / "identity" / "key.pem").read_text().splitlines()[1]
    for secret in (*SECRETS, key):
        assert secret not in everything
    assert stat.S_IMODE((tmp_path / "box.tar.gz").stat().st_mode) == 0o600
    assert json.loads(files["identity.json"])["member"]["nodeId"] == past.BOX
    assert "rtsp://***@127.0.0.1:9/live" in files["desired.json"]
    assert {"identity/key.pem", "state.db"} <= {each["path"] for each in json.loads(files["state.json"])}
    assert sum(each["records"] for each in json.loads(files["outbox.json"])["waiting"]) > 5
    assert "cpu" in json.loads(files["engines.json"])["providers"]
    assert any(each["subject"] == "camera yard" for each in json.loads(files["doctor.json"]))
    assert json.loads(files["config.json"])["environment"]["LONGSHORE_AGENT_BROKER_PASSWORD"] == "***"


def test_without_the_redaction_the_secrets_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protos.bundle.redacted", lambda document: document)
    everything = "\n".join(packed(tmp_path, monkeypatch).values())
    assert all(secret in everything for secret in SECRETS[:2])


def test_a_box_that_has_nothing_gives_its_reasons(tmp_path: Path) -> None:
    ports = [part for name in ("http", "grpc", "metrics") for part in (f"--{name}-port", "0")]
    asked = ["support-bundle", "-o", str(tmp_path / "b.tar.gz"), "--state-dir", str(tmp_path / "none"), *ports]
    assert CliRunner().invoke(cli, asked).exit_code == 0
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        identity = archive.extractfile("b/identity.json")
        assert identity
        assert "FileNotFoundError" in identity.read().decode()
