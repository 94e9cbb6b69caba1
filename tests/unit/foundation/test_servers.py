"""The servers that other tests rely on start for real, and the fence around the network holds."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.mosquitto import Mosquitto
from tests.servers.ports import listens


@pytest.mark.mosquitto
def test_mosquitto_listens(mosquitto: Mosquitto) -> None:
    assert listens(mosquitto.port)


@pytest.mark.postgres
def test_each_test_gets_an_empty_database(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


@pytest.mark.browser
def test_the_browser_renders_a_page(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<title>quay</title><p id=here>boat</p>")
    browser.get(page.as_uri())
    assert browser.title == "quay"
    assert browser.find_element("id", "here").text == "boat"


def test_a_test_cannot_reach_beyond_this_machine() -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="this machine only"):
        sock.connect(("192.0.2.1", 80))
