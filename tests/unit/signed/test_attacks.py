"""Each attack on distribution, against the box's own path: nothing is approved that was not signed for it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.trust.errors import ClockBehind, NotApproved, NotYet, Stale, Untrusted
from agent.trust.kept import KeptFloors
from protos.errors import LongshoreError, Retryable
from tests.sim import releases
from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import QUAY, SignedRepository

OLD, NEW, EVIL = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("6.6.6")
DAY = 86_400.0


@pytest.fixture
def repository() -> SignedRepository:
    return SignedRepository()


@pytest.fixture
async def box(tmp_path: Path, repository: SignedRepository) -> AsyncIterator[SignedBox]:
    async with signed_box(tmp_path, repository) as box:
        yield box


async def test_what_both_name_is_approved_with_its_listing(box: SignedBox, repository: SignedRepository) -> None:
    listing = repository.deploy(OLD, "1.0.0")
    assert (await box.approved(OLD.digest)).listing == listing


async def test_the_last_approved_goes_on_without_a_network_and_without_another_look(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    repository.away = Retryable("the simulated network is away")
    await box.trust.approved(QUAY, OLD.digest)


# ---- arbitrary software ----


async def test_a_release_that_nobody_signed_waits_with_the_next_step(
    box: SignedBox, repository: SignedRepository
) -> None:
    with pytest.raises(NotYet, match=r"assign/quay/release is not in the signed metadata .*longshore sign"):
        await box.approved(EVIL.digest)
    repository.assign(repository.listed(OLD, "1.0.0"))
    repository.roles["model-harbour"].targets.clear()
    repository.write("model-harbour")
    repository.publish()
    with pytest.raises(NotYet, match=r"models/harbour/1\.0\.0 is not .*longshore sign harbour@1\.0\.0"):
        await box.approved(OLD.digest)


async def test_what_desired_state_names_alone_is_never_approved(box: SignedBox, repository: SignedRepository) -> None:
    repository.deploy(OLD, "1.0.0")
    with pytest.raises(NotYet, match="desired state"):
        await box.approved(EVIL.digest)


async def test_a_listing_that_says_another_digest_than_the_assignment_is_refused_by_name(
    box: SignedBox, repository: SignedRepository
) -> None:
    listing = repository.listed(OLD, "1.0.0")
    repository.assign(repository.listed(EVIL, "1.0.0"))
    repository.roles["model-harbour"].targets[listing.path].hashes["sha256"] = OLD.digest.removeprefix("sha256:")
    repository.write("model-harbour")
    repository.publish()
    with pytest.raises(NotApproved, match=r"assign-disagrees: assign/quay/release") as refused:
        await box.approved(EVIL.digest)
    assert refused.value.rule == "assign-disagrees"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", "model-harbour", "assign"])
async def test_metadata_signed_with_another_key_is_refused(
    box: SignedBox, repository: SignedRepository, role: str
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    repository.keys[role] = SignedRepository().keys[role]
    if role not in ("timestamp", "snapshot"):
        repository.write(role)
    repository.deploy(EVIL, "6.6.6")
    with pytest.raises(Untrusted, match="signed by 0/1"):
        await box.approved(EVIL.digest)


async def test_too_few_signatures_of_a_delegated_role_are_refused(box: SignedBox, repository: SignedRepository) -> None:
    delegated = repository.roles["models"].delegations.roles["model-harbour"]
    second = SignedRepository().keys["assign"][0]
    repository.roles["models"].add_key(second.public_key, "model-harbour")
    delegated.threshold = 2
    repository.write("models")
    repository.deploy(EVIL, "6.6.6")
    with pytest.raises(Untrusted, match="signed by 1/2 keys"):
        await box.approved(EVIL.digest)
    repository.keys["model-harbour"].append(second)
    repository.deploy(NEW, "2.0.0")
    await box.approved(NEW.digest)


async def test_a_listing_in_another_role_than_its_models_counts_for_nothing(
    box: SignedBox, repository: SignedRepository
) -> None:
    """Were delegations ever too wide, who signs assignments would list releases."""
    listing = repository.listed(EVIL, "6.6.6")
    target = repository.roles["model-harbour"].targets.pop(listing.path)
    repository.write("model-harbour")
    delegated = repository.roles["targets"].delegations.roles
    delegated["assign"].paths = ["*/*/*"]
    repository.roles["targets"].delegations.roles = {name: delegated[name] for name in ("assign", "models")}
    repository.write("targets")
    repository.roles["assign"].targets[listing.path] = target
    repository.assign(listing)
    repository.publish()
    with pytest.raises(NotYet, match="not signed: models/harbour"):
        await box.approved(EVIL.digest)


# ---- stolen online keys ----


def thief(repository: SignedRepository, *stolen: str) -> SignedRepository:
    """The repository as it is served by who has these keys and no other: what he signs with others does not count."""
    for role in set(repository.keys) - set(stolen):
        repository.keys[role] = SignedRepository().keys[role]
    return repository


@pytest.mark.parametrize(
    "stolen", [("timestamp",), ("snapshot",), ("assign",), ("timestamp", "snapshot", "assign")], ids="-".join
)
async def test_stolen_online_keys_install_nothing_that_was_not_listed(
    box: SignedBox, repository: SignedRepository, stolen: tuple[str, ...]
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    thief(repository, *stolen)
    repository.deploy(EVIL, "6.6.6")
    with pytest.raises((Untrusted, NotYet)):
        await box.approved(EVIL.digest)


async def test_all_online_keys_stolen_bring_back_a_listed_release_but_none_below_its_floor(
    box: SignedBox, repository: SignedRepository
) -> None:
    old = repository.listed(OLD, "1.0.0", number=1)
    repository.deploy(NEW, "2.0.0", number=2, floor=1)
    await box.approved(NEW.digest)
    thief(repository, "timestamp", "snapshot", "assign").assign(old)
    repository.publish()
    await box.approved(OLD.digest)  # at its floor: that much a thief of all three has


async def test_a_release_below_the_floor_is_refused_by_name_though_the_listing_with_the_floor_is_gone(
    box: SignedBox, repository: SignedRepository
) -> None:
    old = repository.listed(OLD, "1.0.0", number=1)
    new = repository.deploy(NEW, "2.0.0", number=2, floor=2)
    await box.approved(NEW.digest)
    repository.roles["model-harbour"].targets.pop(new.path)
    repository.write("model-harbour")
    repository.assign(old)
    repository.publish()
    with pytest.raises(NotApproved, match=r"release-floor: models/harbour/1\.0\.0 is number 1 .* below 2; deploy"):
        await box.approved(OLD.digest)
    with pytest.raises(NotApproved, match="release-floor"):
        await (await box.restarted()).approved(OLD.digest)


async def test_nonsense_signed_by_the_assign_key_blames_no_release(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.assign(repository.listed(OLD, "1.0.0"))
    repository.roles["assign"].targets["assign/quay/release"].unrecognized_fields["custom"] = {"model": 7}
    repository.write("assign")
    repository.publish()
    with pytest.raises(Untrusted, match="assign/quay/release"):
        await box.approved(OLD.digest)


async def test_a_root_with_other_keys_locks_the_thief_out(box: SignedBox, repository: SignedRepository) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    stolen = repository.rotate("timestamp", "snapshot")
    repository.publish()
    await box.refresh()
    repository.publish(keys=stolen["timestamp"])
    with pytest.raises(Untrusted):
        await box.refresh()


# ---- rollback ----


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


# ---- freeze, clocks ----


async def test_metadata_that_nobody_signs_anew_installs_nothing_once_it_has_expired(tmp_path: Path) -> None:
    repository = SignedRepository(ahead=-400 * DAY)  # a box whose clock is 400 days ahead
    repository.deploy(OLD, "1.0.0")
    async with signed_box(tmp_path, repository) as box:
        with pytest.raises(Stale, match=r"is expired, and this box's clock says .*set the clock"):
            await box.approved(OLD.digest)
        assert [problem.code for problem in box.trust.problems()] == ["metadata-expired"]


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", "model-harbour", "assign"])
async def test_each_role_that_expired_is_named(tmp_path: Path, role: str) -> None:
    repository = SignedRepository()
    repository.roles[role].expires = repository.roles[role].expires.replace(year=2024, day=1)
    listing = repository.listed(OLD, "1.0.0")
    repository.assign(listing)
    for each in ("targets", "models"):
        repository.write(each)
    repository.publish()
    async with signed_box(tmp_path, repository) as box:
        with pytest.raises(Stale, match=role):
            await box.approved(OLD.digest)


async def test_a_view_that_expires_meanwhile_is_not_believed(box: SignedBox, repository: SignedRepository) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    repository.away = Retryable("the simulated network is away")
    await box.clock.advance(2 * DAY)
    with pytest.raises(Retryable, match="network is away"):
        await box.trust.approved(QUAY, OLD.digest)


async def test_a_clock_behind_what_was_signed_installs_nothing_and_says_so(tmp_path: Path) -> None:
    repository = SignedRepository(ahead=400 * DAY)
    repository.deploy(OLD, "1.0.0")
    async with signed_box(tmp_path, repository) as box:
        with pytest.raises(ClockBehind, match="set the clock"):
            await box.approved(OLD.digest)
        assert [problem.code for problem in box.trust.problems()] == ["clock-behind"]
        box.clock.jump(400 * DAY)
        await box.approved(OLD.digest)
        assert box.trust.problems() == []


async def test_a_clock_that_was_set_back_does_not_make_old_metadata_fresh(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.approved(OLD.digest)
    box.clock.jump(-400 * DAY)
    with pytest.raises(ClockBehind):
        await box.approved(OLD.digest)


async def test_signers_a_few_minutes_ahead_are_no_trouble(tmp_path: Path) -> None:
    repository = SignedRepository(ahead=1800.0)
    repository.deploy(OLD, "1.0.0")
    async with signed_box(tmp_path, repository) as box:
        await box.approved(OLD.digest)


# ---- mix and match ----


@pytest.mark.parametrize("role", ["targets", "models", "model-harbour", "assign", "snapshot"])
async def test_a_file_of_another_moment_is_refused(box: SignedBox, repository: SignedRepository, role: str) -> None:
    repository.deploy(OLD, "1.0.0")
    older = repository.signed(role)
    repository.write(role)
    repository.deploy(NEW, "2.0.0")
    repository.files[f"{repository.roles[role].version}.{role}.json"] = older
    with pytest.raises(Untrusted):
        await box.approved(NEW.digest)


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


@pytest.mark.parametrize("error", [Retryable("slow"), LongshoreError("more than it may have")], ids=["away", "endless"])
async def test_what_does_not_come_is_waited_for(
    box: SignedBox, repository: SignedRepository, error: LongshoreError
) -> None:
    repository.deploy(OLD, "1.0.0")
    repository.trouble["timestamp.json"] = error
    with pytest.raises(LongshoreError, match=str(error)):
        await box.approved(OLD.digest)
    repository.trouble.clear()
    await box.approved(OLD.digest)
