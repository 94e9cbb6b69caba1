"""Rehearsed with real processes: two people, two folders, two homes; each command is a process of its own.

No process is ever given the key of the other. A box that joined before follows by the public library.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from protos import manifest
from tests.e2e.test_control_plane import Process
from tests.servers.require import unmet
from tests.servers.softhsm import PIN, Token
from tests.servers.softhsm import made as made_tokens

pytestmark = pytest.mark.e2e
CHECKOUT = Path(__file__).parents[2]
RELEASE = CHECKOUT / "models" / "harbour" / "release"
MANIFEST = (RELEASE / "manifest.json").read_bytes()
LISTED = f"models/harbour/{manifest.parse(MANIFEST).version}"


@dataclass(frozen=True)
class Person:
    """A folder of keys and a home of their own; the other's are not known here."""

    folder: Path
    plane: Process
    token: Token | None = None

    def longshore(self, *words: str) -> str:
        """What was printed; it must succeed."""
        done = self.tried(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        own = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / ".config"), "LONGSHORE_KEY_PIN": PIN}
        own |= {"LONGSHORE_URL": self.plane.url, "LONGSHORE_TOKEN": self.plane.headers["Authorization"][7:]}
        own |= self.token.environment if self.token else {}
        path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "controlplane.cli.main", *words]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, **own}
        return subprocess.run(
            command,
            check=False,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
            stdin=subprocess.DEVNULL,
        )


class _Box(FetcherInterface):
    """As a box fetches: from the control plane's own address."""

    def __init__(self, plane: Process, folder: Path) -> None:
        self.plane, self.folder = plane, folder
        folder.mkdir()
        self.root = self._get("root.json")

    def _get(self, name: str) -> bytes:
        answer = self.plane.call("GET", f"/metadata/{name}")
        if answer.status_code != 200:
            raise DownloadHTTPError(name, answer.status_code)
        return answer.content

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self._get(url.lstrip("/"))

    def finds(self, path: str) -> bool:
        updater = Updater(str(self.folder), "", fetcher=self, bootstrap=self.root)
        updater.refresh()
        return updater.get_targetinfo(path) is not None


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path / "state").start().ready()
    yield started
    started.process.kill()
    started.process.communicate()


def _people(tmp_path: Path, plane: Process, token: Token | None = None) -> tuple[Person, Person]:
    ann, bo = (tmp_path / name for name in ("ann", "bo"))
    keys = tmp_path / "state" / "keys"
    for folder in (ann, bo):
        folder.mkdir()
        (folder / "root.json").write_bytes((keys / "root.json").read_bytes())
    for path in (keys / "offline" / "root.key", keys / "offline" / "targets.key", keys / "release.key"):
        path.rename(ann / path.name)  # carried away, as the owner is told to
    return Person(ann, plane), Person(bo, plane, token)


def _proposed(text: str) -> str:
    found = re.search(r"proposal ([0-9a-f]{12}) waits", text)
    assert found, text
    return found[1]


def _roles(plane: Process) -> dict[str, Any]:
    answer: httpx.Response = plane.call("GET", "/metadata")
    return {each["role"]: each for each in answer.json()["items"]}


def test_two_people_sign_roots_and_releases_and_no_machine_holds_both_keys(tmp_path: Path, plane: Process) -> None:
    ann, bo = _people(tmp_path, plane)
    box = _Box(plane, tmp_path / "box")
    bo.longshore("keys", "new", "bo.key")
    (ann.folder / "bo.pub").write_bytes((bo.folder / "bo.pub").read_bytes())
    add = ("--add", "bo.pub", "--threshold", "2")
    held = ("--key", "root.key", "--key", "targets.key", "--key", "release.key")
    made = ann.longshore("keys", "propose", "root", "targets", "release", *add, *held)
    assert _roles(plane)["root"]["version"] == 1
    seen = bo.longshore("keys", "sign", _proposed(made), "--key", "bo.key", "--yes")
    assert "root: 1 of 1 → 2 of 2 must sign" in seen
    assert "published: models, root, targets" in seen
    assert {role: each["threshold"] for role, each in _roles(plane).items() if each["held"] != "online"} == {
        "root": 2,
        "targets": 2,
        "models": 2,
    }
    pushed = ann.longshore("push", str(RELEASE), "--floor", "1", "--key", "release.key")
    assert not box.finds(LISTED)
    seen = bo.longshore("keys", "sign", _proposed(pushed), "--key", "bo.key", "--yes")
    assert f"    {manifest.release_digest(MANIFEST)}, " in seen
    assert box.finds(LISTED)
    renewed = ann.longshore("keys", "propose", "--renew", *held[:4])
    assert "published" in bo.longshore("keys", "sign", _proposed(renewed), "--key", "bo.key", "--yes")
    assert box.finds(LISTED)
    assert _roles(plane)["root"]["version"] == 3
    entries = plane.call("GET", "/audit").json()["items"]
    assert {"publish", "sign", "create"} <= {each["verb"] for each in entries}


def test_a_role_moves_from_a_file_to_a_token_in_one_root_rotation_and_boxes_follow(
    tmp_path: Path, plane: Process
) -> None:
    if importlib.util.find_spec("pkcs11") is None:
        unmet("python-pkcs11 is not installed; run scripts/bootstrap dev")
    (tmp_path / "hsm").mkdir()
    ann, bo = _people(tmp_path, plane, made_tokens(tmp_path / "hsm", "bo")["bo"])
    box = _Box(plane, tmp_path / "box")
    (ann.folder / "token.pub").write_text(bo.longshore("keys", "public", "hsm:2?label=bo"))
    old = _roles(plane)["root"]["keys"][0]
    made = ann.longshore("keys", "propose", "root", "--add", "token.pub", "--remove", old[:10], "--key", "root.key")
    seen = bo.longshore("keys", "sign", _proposed(made), "--key", "hsm:2?label=bo", "--yes")
    assert f"− {old} (ed25519)" in seen
    assert "(ecdsa)" in seen
    assert "published: root" in seen
    assert not box.finds(LISTED)  # refreshed by the new root
    refused = ann.tried("keys", "propose", "timestamp", "snapshot", "--key", "root.key")
    assert "none of the keys given may sign" in refused.stderr
    assert "published" in bo.longshore("keys", "propose", "timestamp", "snapshot", "--key", "hsm:2?label=bo")
    assert not box.finds(LISTED)
    assert _roles(plane)["root"]["version"] == 3
