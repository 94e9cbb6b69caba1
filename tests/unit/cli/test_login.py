"""Signing in over https: the CA is known before the token is sent."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from controlplane.adapters.tls import ServerCertificate
from controlplane.adapters.x509 import LocalAuthority, new_ca
from controlplane.web import create_app
from tests.sim.clock import FakeClock
from tests.sim.command import Run, Serving
from tests.sim.control_plane import SimControlPlane


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(unix=time.time())  # TLS checks certificates against the real time


@pytest.fixture
def https(house: SimControlPlane, tmp_path: Path, free_port: int) -> Iterator[str]:
    certificate = ServerCertificate(house.authority, ("localhost", "127.0.0.1"), house.clock, tmp_path)
    with Serving(create_app(house.services), free_port, certificate.context):
        yield f"https://127.0.0.1:{free_port}"


@pytest.fixture
def typed(house: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The token, on standard input."""
    stdin = io.StringIO(house.token + "\n")
    monkeypatch.setattr("sys.stdin", stdin)
    return stdin


def test_a_pinned_ca_is_remembered_and_trusted(
    run: Run, https: str, house: SimControlPlane, typed: io.StringIO
) -> None:
    assert run("login", https, "--pin", house.authority.ca_pin).code == 0
    assert run("get", "nodes").code == 0


def test_another_ca_than_the_pinned_one_gets_no_token(run: Run, https: str, typed: io.StringIO) -> None:
    refused = run("login", https, "--pin", "0" * 64)
    assert (refused.code, "shows another CA than the pinned one" in refused.err) == (1, True)
    assert typed.tell() == 0


@pytest.fixture
def in_between(house: SimControlPlane, tmp_path: Path, free_port: int) -> Iterator[tuple[str, list[Scope]]]:
    """Somebody with a CA of his own who shows the genuine one as well, and what he gets to read."""
    thief = LocalAuthority(*new_ca(house.clock.unix()))
    certificate = ServerCertificate(thief, ("localhost", "127.0.0.1"), house.clock, tmp_path)
    asked: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope)
        await PlainTextResponse(house.authority.ca_pem + thief.ca_pem)(scope, receive, send)

    with Serving(app, free_port, certificate.context):
        yield f"https://127.0.0.1:{free_port}", asked


def test_a_genuine_ca_with_a_thief_s_beside_it_gets_no_token(
    run: Run, in_between: tuple[str, list[Scope]], house: SimControlPlane, typed: io.StringIO
) -> None:
    url, asked = in_between
    refused = run("login", url, "--pin", house.authority.ca_pin)
    assert (refused.code, "2 certificates as its CA where one belongs" in refused.err) == (1, True)
    assert [scope["path"] for scope in asked] == ["/api/v1/ca"]
    assert typed.tell() == 0


def test_what_is_remembered_is_the_one_certificate_that_was_compared(
    run: Run, https: str, house: SimControlPlane, typed: io.StringIO, tmp_path: Path
) -> None:
    assert run("login", https, "--pin", house.authority.ca_pin).code == 0
    remembered = yaml.safe_load((tmp_path / "home" / ".config" / "longshore" / "config.yaml").read_text())
    assert [context["ca"] for context in remembered["contexts"].values()] == [house.authority.ca_pem]


@pytest.mark.parametrize("url", ["https://[::1", "http://[::1", "https://fleet:port", "ftp://fleet"])
def test_what_is_no_address_is_said_to_be_none(run: Run, typed: io.StringIO, url: str) -> None:
    refused = run("login", url, "--pin", "0" * 64)
    assert (refused.code, "is no address of a control plane" in refused.err) == (1, True)


def test_without_a_person_a_pin_or_a_file_nothing_is_trusted(run: Run, https: str, typed: io.StringIO) -> None:
    refused = run("login", https)
    assert (refused.code, "give --ca FILE or --pin SHA256" in refused.err) == (1, True)
    assert typed.tell() == 0


def test_a_ca_may_come_from_a_file(
    run: Run, https: str, house: SimControlPlane, typed: io.StringIO, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(house.authority.ca_pem)
    assert run("--ca", str(tmp_path / "ca.pem"), "--context", "harbour", "login", https).code == 0
    assert run("--context", "harbour", "get", "nodes").code == 0


def test_a_server_of_another_ca_is_refused_in_a_sentence(
    run: Run, https: str, house: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_URL", https)
    monkeypatch.setenv("LONGSHORE_TOKEN", house.token)
    refused = run("get", "nodes")
    assert (refused.code, "shows a certificate this context does not trust" in refused.err) == (1, True)


def test_what_is_no_control_plane_shows_no_ca(run: Run, typed: io.StringIO, free_port: int) -> None:
    assert run("login", f"https://127.0.0.1:{free_port}", "--pin", "0" * 64).code == 3
