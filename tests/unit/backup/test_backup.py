"""Backup and restore: one file with a digest of each part, proven before anything is touched, whole or not at all."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controlplane.adapters.listening import held
from controlplane.backup import archive, contents, run
from controlplane.backup.contents import Manifest
from controlplane.backup.run import back_up, restore
from controlplane.config import Config
from controlplane.wiring import build
from protos.errors import Fatal, Rejected, Retryable
from protos.trust import ONLINE
from tests.sim import past

SECRETS = ("ca/ca.key", "ca/server.key", "grant.key", "admin.token")


def quiet(*_: object) -> None:
    """No progress."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """A control plane's state, its database's URL, and an empty database of the same kind."""
    past.control_plane(tmp_path / "old")
    if request.param == "sqlite":
        yield tmp_path / "old", "", ""
        return
    (tmp_path / "old" / "controlplane" / "longshore.db").unlink()
    create = request.getfixturevalue("new_postgres_database")
    old = create()
    past.fill_postgres(old)
    yield tmp_path / "old", old, create()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    past.control_plane(tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def backup(state: Path, tmp_path: Path) -> Path:
    back_up(tmp_path / "fleet.tar", state, "", quiet)
    return tmp_path / "fleet.tar"


def nodes(state: Path, url: str) -> list[dict[str, Any]]:
    services = build(Config(state=state, database_url=url))
    found = services.fleet.list_nodes("", None, "")
    assert services.identity.device((past.FIRST / "box" / "identity" / "cert.pem").read_bytes()) == past.BOX
    services.database.close()
    return found


def test_what_was_backed_up_is_there_again_elsewhere(place: tuple[Path, str, str], tmp_path: Path) -> None:
    old, url, empty = place
    target = tmp_path / "fleet.tar"
    manifest = back_up(target, old, url, quiet)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert restore(target, tmp_path / "new", empty, quiet) == manifest
    for name in (*SECRETS, "ca/ca.pem"):
        before, after = (base / "controlplane" / name for base in (old, tmp_path / "new"))
        assert after.read_bytes() == before.read_bytes()
        assert stat.S_IMODE(after.stat().st_mode) == stat.S_IMODE(before.stat().st_mode)
    restored = nodes(tmp_path / "new", empty)
    names = [(node["metadata"]["name"], node["metadata"]["uid"]) for node in restored]
    assert names == [(node["metadata"]["name"], node["metadata"]["uid"]) for node in nodes(old, url)]
    assert {path.name for path in (tmp_path / "new" / "controlplane" / "blobs" / "sha256").iterdir()} == {
        path.name for path in (past.FIRST / "blobs").iterdir()
    }


def test_without_keys_no_secret_is_in_it(state: Path, tmp_path: Path) -> None:
    manifest = back_up(tmp_path / "fleet.tar", state, "", quiet, keys=False)
    assert not manifest.keys
    content = (tmp_path / "fleet.tar").read_bytes()
    for name in SECRETS:
        assert (state / "controlplane" / name).read_bytes().strip() not in content
    back_up(tmp_path / "whole.tar", state, "", quiet)
    assert (state / "controlplane" / "ca" / "ca.key").read_bytes() in (tmp_path / "whole.tar").read_bytes()


def test_a_file_that_is_there_is_not_written_over(state: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet.tar").write_text("mine")
    with pytest.raises(Rejected, match="is there already"):
        back_up(tmp_path / "fleet.tar", state, "", quiet)
    assert (tmp_path / "fleet.tar").read_text() == "mine"


def test_a_folder_without_a_control_plane_is_told(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="there is no control plane"):
        back_up(tmp_path / "fleet.tar", tmp_path, "", quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_release_whose_file_is_gone_makes_no_backup(state: Path, tmp_path: Path) -> None:
    max((state / "controlplane" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size).unlink()
    with pytest.raises(Retryable, match="1 files of releases are not there"):
        back_up(tmp_path / "fleet.tar", state, "", quiet)
    assert not list(tmp_path.glob("*.tar")) + list(tmp_path.glob(".*"))


@pytest.mark.parametrize("place_of", [0.05, 0.3, 0.6, 0.9])
def test_one_wrong_byte_anywhere_restores_nothing(backup: Path, tmp_path: Path, place_of: float) -> None:
    content = bytearray(backup.read_bytes())
    with tarfile.open(backup) as whole:
        members = [member for member in whole if member.size > 64]
    member = members[int(place_of * len(members))]
    content[member.offset_data + member.size // 2] ^= 1
    backup.write_bytes(content)
    with pytest.raises(Rejected, match=r"damaged|no backup"):
        restore(backup, tmp_path / "new", "", quiet)
    assert not (tmp_path / "new").exists()


def test_a_backup_that_was_cut_short_restores_nothing(backup: Path, tmp_path: Path) -> None:
    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    with pytest.raises(Rejected, match="cut short"):
        restore(backup, tmp_path / "new", "", quiet)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["state/../../evil", "/etc/evil", "state/more"])
def test_a_member_that_does_not_belong_there_is_refused(backup: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(backup, "a") as whole:
        more = tarfile.TarInfo(name)
        more.size = 4
        whole.addfile(more, io.BytesIO(b"evil"))
    with pytest.raises(Rejected, match="does not belong there"):
        restore(backup, tmp_path / "new", "", quiet)
    assert not (tmp_path / "new").exists()


def test_names_that_lead_elsewhere_are_recognised() -> None:
    assert all(map(contents.unsafe, ("../x", "/x", "a/../b", "a//b", "a/\0")))
    assert not contents.unsafe("state/ca/ca.pem")


def test_a_running_control_plane_is_left_alone(backup: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "controlplane"
    folder.mkdir(parents=True)
    with held(folder), pytest.raises(Fatal, match="in use by process"):
        restore(backup, tmp_path / "new", "", quiet)
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_state_that_is_not_empty_is_left_alone(backup: Path, state: Path) -> None:
    with pytest.raises(Rejected, match="is not empty"):
        restore(backup, state, "", quiet)


@pytest.mark.postgres
def test_a_database_that_is_not_empty_or_of_another_kind_is_left_alone(
    backup: Path, tmp_path: Path, new_postgres_database: Callable[[], str]
) -> None:
    filled = new_postgres_database()
    past.fill_postgres(filled)
    with pytest.raises(Rejected, match="goes into no other kind"):
        restore(backup, tmp_path / "new", filled, quiet)
    (tmp_path / "old" / "controlplane" / "longshore.db").unlink()
    back_up(tmp_path / "pg.tar", tmp_path / "old", filled, quiet)
    with pytest.raises(Rejected, match="name an empty one with --database-url"):
        restore(tmp_path / "pg.tar", tmp_path / "new", "", quiet)
    with pytest.raises(Rejected, match="has tables already"):
        restore(tmp_path / "pg.tar", tmp_path / "new", filled, quiet)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("change", [{"version": "9.0.0"}, {"revision": "9000"}])
def test_a_backup_of_a_newer_longshore_is_refused(change: dict[str, str]) -> None:
    manifest = replace(Manifest("0.1.0", "", "sqlite", "0001", keys=True, files={}), **change)  # type: ignore[arg-type]
    with pytest.raises(Rejected, match="update first"):
        contents.check_restorable(manifest, "0.2.0", "0003")
    assert contents.parsed(manifest.to_bytes()) == manifest
    with pytest.raises(Rejected, match="newer Longshore"):
        contents.parsed(manifest.to_bytes().replace(b'"format": 1', b'"format": 2'))


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "some.tar").write_text("no tar at all")
    for name in ("some.tar", "absent.tar"):
        with pytest.raises(Rejected, match=r"no backup of Longshore|cannot read"):
            archive.manifest_of(tmp_path / name)


def test_a_restore_that_was_killed_leaves_no_control_plane_and_the_next_one_cleans_up(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "_appear", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(backup, new, "", quiet)
    assert [path.name for path in (new / "controlplane").iterdir()] == ["lock"]
    (new / ".restoring-abc" / "ca").mkdir(parents=True)  # as kill -9 leaves it
    restore(backup, new, "", quiet)
    assert {path.name for path in new.iterdir()} == {"controlplane"}
    assert nodes(new, "")


def test_progress_is_told_to_its_end(state: Path, tmp_path: Path) -> None:
    told: dict[str, tuple[int, int]] = {}

    def progress(what: str, done: int, total: int) -> None:
        told[what] = (done, total)

    back_up(tmp_path / "fleet.tar", state, "", progress)
    restore(tmp_path / "fleet.tar", tmp_path / "new", "", progress)
    assert set(told) == {"database", "files", "proving", "restoring"}
    assert all(done == total > 0 for done, total in told.values())


def test_signed_metadata_goes_along_and_the_keys_apart_from_it_never(state: Path, tmp_path: Path) -> None:
    config = Config(state=state)
    begun = build(config)
    before = {each.document.role: each.document.version for each in begun.trust.roles()}
    begun.database.close()
    back_up(tmp_path / "fleet.tar", state, "", quiet)
    content = (tmp_path / "fleet.tar").read_bytes()
    for apart in (*(config.keys_folder / "offline").iterdir(), config.keys_folder / "release.key"):
        assert apart.read_bytes().strip() not in content
    restore(tmp_path / "fleet.tar", tmp_path / "new", "", quiet)
    again = build(Config(state=tmp_path / "new"))
    after = again.trust.roles()
    again.database.close()
    assert {each.document.role: each.document.version for each in after} == before
    assert all(each.held for each in after if each.document.role in ONLINE)
    assert not (tmp_path / "new" / "keys").exists()


def test_what_can_be_made_again_is_in_no_backup() -> None:
    digest = "0" * 64
    assert contents.wanted(f"blobs/sha256/{digest}", keys=False)
    assert not contents.wanted(f"blobs/chunks/{digest}", keys=True)
    assert not contents.wanted("blobs/staging/upload.part", keys=True)
