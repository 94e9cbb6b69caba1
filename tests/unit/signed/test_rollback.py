"""What was seen is never believed again in an older version, until a root with other online keys says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import report
from agent.report import Addresses, Box
from agent.trust.errors import NotApproved, Untrusted
from agent.trust.kept import KeptFloors
from tests.sim import releases
from tests.sim.signed_box import SignedBox
from tests.sim.signed_repository import SignedRepository

OLD, NEW, EVIL = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("6.6.6")
DAY = 86_400.0
BOX = Box("edge", "boot", Path("/"), Addresses(), ())


def served(repository: SignedRepository) -> dict[str, bytes]:
    return dict(repository.files)


@pytest.mark.parametrize("role", ["targets", "models", "model-harbour", "assign"])
async def test_a_role_that_goes_back_is_refused(box: SignedBox, repository: SignedRepository, role: str) -> None:
    repository.deploy(OLD, "1.0.0")
    repository.write(role)
    repository.publish()
    await box.approved(OLD.digest)
    repository.write(role, version=1)
    repository.publish()
    with pytest.raises(Untrusted):
        await box.approved(OLD.digest)


Harm = Callable[[SignedBox], None]


def nothing(box: SignedBox) -> None:
    pass


def emptied(box: SignedBox) -> None:
    for path in (box.folder / "trust").glob("*.json"):
        path.unlink()
        path.touch()


def garbled(box: SignedBox) -> None:
    for path in (box.folder / "trust").rglob("*.json"):
        if not path.is_symlink():
            path.write_bytes(b'{"signed": {"_type": "timestamp"')


def gone(box: SignedBox) -> None:
    shutil.rmtree(box.folder / "trust")


def without_database(box: SignedBox) -> None:
    gone(box)
    box.state.close()
    (box.folder / "state.db").unlink()


def without_second_place(box: SignedBox) -> None:
    gone(box)
    (box.folder / "identity" / "floors.json").write_bytes(b"")


HARMS = [nothing, emptied, garbled, gone, without_database, without_second_place]


@pytest.mark.parametrize("harm", HARMS)
async def test_a_repository_that_goes_back_is_refused_whatever_happened_to_the_disk(
    box: SignedBox, repository: SignedRepository, harm: Harm
) -> None:
    repository.deploy(OLD, "1.0.0")
    before = served(repository)
    repository.deploy(NEW, "2.0.0")
    await box.approved(NEW.digest)
    harm(box)
    await box.restarted()
    repository.files, latest = before, repository.files
    with pytest.raises(Untrusted):
        await box.approved(OLD.digest)
    repository.files = latest
    await box.approved(NEW.digest)


async def test_roots_that_lie_garbled_on_the_disk_are_fetched_anew(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.rotate("timestamp")
    repository.deploy(OLD, "1.0.0")
    await box.refresh()
    kept = box.folder / "trust" / "root_history" / "2.root.json"
    kept.write_bytes(b'{"signed": {')
    await (await box.restarted()).approved(OLD.digest)
    assert kept.read_bytes() == repository.files["2.root.json"]


async def test_what_was_below_a_floor_does_not_stay_on_the_disk(box: SignedBox, repository: SignedRepository) -> None:
    repository.deploy(OLD, "1.0.0")
    before = served(repository)
    repository.deploy(NEW, "2.0.0")
    await box.approved(NEW.digest)
    gone(box)
    await box.restarted()
    repository.files = before
    with pytest.raises(Untrusted, match="has seen version"):
        await box.refresh()
    assert not [name for name in ("timestamp", "snapshot") if (box.folder / "trust" / f"{name}.json").exists()]


async def test_what_the_library_left_behind_when_it_was_killed_goes_at_the_next_start(box: SignedBox) -> None:
    await box.refresh()
    left = box.folder / "trust" / "tmpabcd1234"
    left.write_bytes(b"half of it")
    await box.restarted()
    assert not left.exists()
    await box.refresh()


@pytest.mark.parametrize("place", ["state.db", "identity/floors.json", "trust"])
async def test_an_old_copy_of_one_place_brings_no_old_floor_back(
    box: SignedBox, repository: SignedRepository, place: str
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    before, path, copy = served(repository), box.folder / place, box.folder / "copy"
    box.state.close()
    (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    box.start()
    repository.deploy(NEW, "2.0.0")
    await box.approved(NEW.digest)
    box.state.close()
    if path.is_dir():
        shutil.rmtree(path)
    copy.rename(path)
    shutil.rmtree(box.folder / "trust")
    box.start()
    repository.files = before
    with pytest.raises(Untrusted, match="has seen version"):
        await box.approved(OLD.digest)


async def test_an_old_root_is_refused_though_the_newer_one_is_gone_from_the_disk(
    box: SignedBox, repository: SignedRepository
) -> None:
    before = served(repository)
    repository.rotate("targets")
    repository.write("targets")
    repository.publish()
    await box.refresh()
    gone(box)
    (await box.restarted()).repository.files = before
    with pytest.raises(Untrusted, match=r"root\.json is version 1 and this box has seen version 2"):
        await box.refresh()


# ---- recovery ----


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "assign"])
async def test_after_a_thief_ran_versions_up_a_root_with_other_keys_lets_them_begin_anew(
    box: SignedBox, repository: SignedRepository, role: str
) -> None:
    repository.deploy(OLD, "1.0.0")
    versions = {name: signed.version for name, signed in repository.roles.items()}
    if role in ("targets", "assign"):
        repository.write(role, version=90_000)
    else:
        repository.roles[role].version = 90_000
    repository.publish()
    await box.approved(OLD.digest)
    for name in ("timestamp", "snapshot", "targets", "assign"):
        repository.roles[name].version = versions[name] + 3
    for name in ("targets", "assign"):
        repository.write(name)
    repository.publish()
    with pytest.raises(Untrusted):
        await box.refresh()
    repository.rotate("timestamp", "snapshot")
    repository.publish()
    await box.approved(OLD.digest)


async def test_keys_that_were_changed_and_changed_back_between_two_looks_count_as_changed(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.roles["timestamp"].version = 90_000
    repository.publish()
    await box.refresh()
    old = repository.rotate("timestamp")
    repository.roles["root"].add_key(old["timestamp"][0].public_key, "timestamp")
    repository.write_root()
    repository.keys["timestamp"] = old["timestamp"]
    repository.roles["timestamp"].version = 5
    repository.publish()
    await box.refresh()
    assert box.floors.now.timestamp == 6


async def test_floors_of_releases_and_of_root_never_begin_anew(box: SignedBox, repository: SignedRepository) -> None:
    old = repository.listed(OLD, "1.0.0", number=1)
    repository.deploy(NEW, "2.0.0", number=2, floor=2)
    await box.approved(NEW.digest)
    repository.rotate("timestamp", "snapshot")
    repository.roles["model-harbour"].targets.pop("models/harbour/2.0.0")
    repository.write("model-harbour")
    repository.assign(old)
    repository.publish()
    with pytest.raises(NotApproved, match="release-floor"):
        await box.approved(OLD.digest)
    assert box.floors.now.root == 2


async def test_root_keys_are_changed_by_a_root_that_both_have_signed(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.rotate("root")
    repository.rotate("timestamp")
    repository.publish()
    await box.refresh()
    assert box.floors.now.root == 3
    repository.keys["root"] = SignedRepository().keys["root"]
    repository.write_root()
    with pytest.raises(Untrusted):
        await box.refresh()


async def test_the_newest_root_is_proven_before_anything_else_is_asked_for_and_asked_for_once(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.rotate("targets")
    repository.write("targets")
    repository.publish()
    await box.refresh()
    assert repository.asked[:3] == ["2.root.json", "3.root.json", "timestamp.json"]
    assert repository.asked.count("3.root.json") == 1


async def test_a_root_that_only_its_own_new_key_has_signed_is_refused(
    box: SignedBox, repository: SignedRepository
) -> None:
    await box.refresh()
    old = repository.keys["root"][0].public_key.keyid
    repository.roles["root"].revoke_key(old, "root")
    repository.keys["root"] = SignedRepository().keys["root"]
    repository.roles["root"].add_key(repository.keys["root"][0].public_key, "root")
    repository.write_root()
    with pytest.raises(Untrusted, match="root was signed by 0/1 keys"):
        await box.refresh()
    assert box.floors.now.root == 1


async def test_a_root_whose_own_new_key_has_not_signed_is_refused(box: SignedBox, repository: SignedRepository) -> None:
    await box.refresh()
    old = repository.keys["root"]
    repository.roles["root"].revoke_key(old[0].public_key.keyid, "root")
    repository.roles["root"].add_key(SignedRepository().keys["root"][0].public_key, "root")
    repository.write_root()
    with pytest.raises(Untrusted, match="root was signed by 0/1 keys"):
        await box.refresh()
    assert box.floors.now.root == 1


async def test_a_root_that_two_must_sign_is_refused_with_one_signature_and_taken_with_both(
    box: SignedBox, repository: SignedRepository
) -> None:
    await box.refresh()
    second = SignedRepository().keys["root"][0]
    repository.roles["root"].add_key(second.public_key, "root")
    repository.roles["root"].roles["root"].threshold = 2
    repository.write_root()
    with pytest.raises(Untrusted, match="root was signed by 1/2 keys"):
        await box.refresh()
    repository.files["2.root.json"] = twice_signed(repository.files["2.root.json"])
    with pytest.raises(Untrusted, match="signed metadata was refused"):
        await box.refresh()
    repository.files["2.root.json"] = repository.signed("root", [*repository.keys["root"], second])
    await box.refresh()
    assert box.floors.now.root == 2


def twice_signed(content: bytes) -> bytes:
    """The one signature that it has, once more."""
    whole = json.loads(content)
    whole["signatures"] *= 2
    return json.dumps(whole).encode()


async def test_a_root_that_leaves_one_out_is_refused(box: SignedBox, repository: SignedRepository) -> None:
    await box.refresh()
    repository.write_root()
    repository.write_root()
    repository.files["2.root.json"] = repository.files["3.root.json"]
    with pytest.raises(Untrusted, match="root version 3 came in place of 2"):
        await box.refresh()
    assert box.floors.now.root == 1


async def test_a_root_that_was_not_signed_by_the_one_before_leaves_the_newest_that_was(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.rotate("timestamp")
    repository.publish()
    repository.keys["root"] = SignedRepository().keys["root"]
    repository.write_root()
    with pytest.raises(Untrusted):
        await box.refresh()
    assert (box.folder / "trust" / "root.json").read_bytes() == repository.files["2.root.json"]


# ---- numbers that nobody counts to ----


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "assign"])
async def test_a_version_beyond_all_clocks_is_refused_and_leaves_no_floor(
    box: SignedBox, repository: SignedRepository, role: str
) -> None:
    """It fits into no report: a thief of online keys could make a box dumb for good, so that no new root reaches it."""
    repository.deploy(OLD, "1.0.0")
    honest = dict(repository.files)
    await box.approved(OLD.digest)
    repository.roles[role].version = 1 << 70
    repository.files[f"{1 << 70}.{role}.json"] = repository.signed(role)
    repository.publish()
    with pytest.raises(Untrusted, match="no clock gives"):
        await box.approved(OLD.digest)
    assert report.request(BOX, "epoch", [], {}, [], proven=box.trust.proven()).trust.timestamp_version < 1 << 53
    repository.files = honest
    assert (await box.approved(OLD.digest)).digest == OLD.digest


async def test_a_time_beyond_all_clocks_is_refused_and_leaves_no_floor(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.deploy(OLD, "1.0.0")
    honest = dict(repository.files)
    await box.approved(OLD.digest)
    repository.ahead = 10.0**30
    repository.stamp()
    with pytest.raises(Untrusted, match="no clock gives"):
        await box.approved(OLD.digest)
    repository.files = honest
    assert (await box.approved(OLD.digest)).digest == OLD.digest


# ---- the first root ----


async def test_a_box_that_joined_before_takes_a_root_once(tmp_path: Path, repository: SignedRepository) -> None:
    repository.deploy(OLD, "1.0.0")
    box = SignedBox(tmp_path, repository, root=b"")
    await box.approved(OLD.digest)
    assert box.places.root() == repository.first_root
    assert ((tmp_path / "identity" / "root.json").stat().st_mode & 0o777) == 0o600
    box.places.keep_root(b"")
    with pytest.raises(Untrusted, match="join this box again"):
        await (await box.restarted()).approved(OLD.digest)
    assert repository.asked.count("root.json") == 1
    await box.close()


async def test_floors_of_another_fleet_mean_nothing(box: SignedBox, repository: SignedRepository) -> None:
    await box.refresh()
    assert box.floors.now.root == 1
    assert KeptFloors(box.state, box.places, "another").now.root == 0
