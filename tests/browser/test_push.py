"""A release is pushed from the page: as a folder, as files, as a tar; what breaks goes on, what is wrong is told."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from protos.ids import Digest
from tests.sim import releases
from tests.sim.page_server import PageServer
from tests.sim.person import Person
from tests.sim.releases import MadeRelease

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
PIECES = 5 << 20  # bytes of a model that goes over in three


def folder_of(made: MadeRelease, place: Path) -> Path:
    """As `longshore package` writes it."""
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes(made.manifest)
    for entry in json.loads(made.manifest)["files"]:
        (place / entry["path"]).write_bytes(made.blobs[Digest("sha256:" + entry["sha256"])])
    return place


def tar_of(folder: Path, target: Path, mode: Any) -> Path:
    with tarfile.open(target, mode) as tar:
        tar.add(folder, arcname=folder.name)
    return target


@pytest.fixture
def person(browser: Any, empty_server: PageServer) -> Person:
    found = Person(browser, empty_server)
    found.open("/models")
    found.click("[data-dialog=push]")
    return found


def push(person: Person, selector: str, *paths: Path) -> None:
    person.press(selector, "\n".join(map(str, paths)))
    person.until(lambda: person.can_use("#push-start"))
    person.click("#push-start")


def error(person: Person) -> str:
    return str(person.until(lambda: person.text("#push-error")))


def stored(person: Person) -> list[str]:
    return [release.name for release in person.server.services.registry.releases()]


@pytest.mark.parametrize("way", ["folder", "files", "tar", "tar.gz"])
def test_a_release_is_pushed_as_it_lies_there(person: Person, tmp_path: Path, way: str) -> None:
    made = releases.make("1.0.0", size=PIECES)
    folder = folder_of(made, tmp_path / ("a-folder-with-quite-a-name-" * 4 + "boats") / "boats-1.0.0")
    if way == "folder":
        push(person, "#push-folder", folder)
    elif way == "files":
        push(person, "#push-files", *folder.iterdir())
    else:
        packed = tar_of(folder, tmp_path / f"boats.{way}", "w:gz" if way == "tar.gz" else "w")
        push(person, "#push-files", packed)
    person.until(lambda: person.browser.current_url.endswith("/releases/harbour-1-0-0"))
    person.until(lambda: "Pushed" in person.text("#toasts"))
    assert person.server.services.registry.release("harbour-1-0-0").digest == made.digest
    assert person.complaints() == []


def test_the_same_again_sends_nothing_and_other_content_is_refused_in_the_services_words(
    person: Person, tmp_path: Path
) -> None:
    push(person, "#push-files", *folder_of(releases.make("1.0.0"), tmp_path / "one").iterdir())
    person.until(lambda: stored(person) == ["harbour-1-0-0"])
    person.until(lambda: "/releases/" in person.browser.current_url)
    person.open("/releases")
    person.click("[data-dialog=push]")
    person.browser.execute_script(
        "const ask = fetch; window.sent = 0;"
        "window.fetch = (url, more) => { if (more && more.method === 'PATCH') window.sent++; return ask(url, more); };"
    )
    push(person, "#push-files", *folder_of(releases.make("1.0.0", size=70_000), tmp_path / "other").iterdir())
    assert "harbour 1.0.0" in error(person)
    assert person.browser.execute_script("return window.sent") == 0
    push(person, "#push-files", *(tmp_path / "one").iterdir())
    person.until(lambda: "very release already" in person.text("#toasts"))


def test_a_push_over_a_wire_that_breaks_goes_on_where_it_stopped(person: Person, tmp_path: Path) -> None:
    person.browser.execute_script(
        "const ask = fetch; window.offsets = [];"
        "window.fetch = (url, more = {}) => {"
        "  if (more.method !== 'PATCH') return ask(url, more);"
        "  window.offsets.push(Number(more.headers['Upload-Offset']));"
        "  if (window.offsets.length === 2) return Promise.reject(new TypeError('Failed to fetch'));"
        "  return ask(url, more); };"
        "window.addEventListener('pagehide', () => sessionStorage.setItem('offsets', JSON.stringify(window.offsets)));"
    )
    push(person, "#push-files", *folder_of(releases.make("1.0.0", size=PIECES), tmp_path / "one").iterdir())
    person.until(lambda: stored(person) == ["harbour-1-0-0"])
    person.until(lambda: "/releases/" in person.browser.current_url)
    offsets = person.browser.execute_script("return JSON.parse(sessionStorage.getItem('offsets'))")
    step = 2 << 20
    assert [each for each in offsets if each] == [step, step, 2 * step]


def linked(tmp_path: Path) -> Path:
    folder = folder_of(releases.make("1.0.0"), tmp_path / "linked")
    (folder / "labels.txt").unlink()
    (folder / "labels.txt").symlink_to("/etc/passwd")
    return tar_of(folder, tmp_path / "linked.tar", "w")


def bare(tmp_path: Path) -> Path:
    (tmp_path / "boats.onnx").write_bytes(b"onnx")
    return tmp_path / "boats.onnx"


def no_tar(tmp_path: Path) -> Path:
    (tmp_path / "boats.tar").write_bytes(b"not a tar at all" * 100)
    return tmp_path / "boats.tar"


@pytest.mark.parametrize(
    ("make", "why"), [(linked, "a link"), (bare, "longshore package"), (no_tar, "is no tar")], ids=lambda each: ""
)
def test_what_is_no_release_is_refused_with_what_to_do(person: Person, tmp_path: Path, make: Any, why: str) -> None:
    person.press("#push-files", str(make(tmp_path)))
    assert why in error(person)
    assert not person.can_use("#push-start")


def test_a_file_that_was_changed_is_refused_by_its_digest(person: Person, tmp_path: Path) -> None:
    folder = folder_of(releases.make("1.0.0"), tmp_path / "one")
    content = bytearray((folder / "model.onnx").read_bytes())
    content[7] ^= 1
    (folder / "model.onnx").write_bytes(bytes(content))
    push(person, "#push-files", *folder.iterdir())
    assert "model.onnx was changed after the release was packaged" in error(person)
    assert stored(person) == []
