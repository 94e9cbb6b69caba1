"""Each attack on distribution, against the box's own path: nothing is approved that was not signed for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.trust.errors import ClockBehind, NotApproved, NotYet, Stale, Untrusted
from protos import trust as names
from protos.errors import LongshoreError, Retryable
from tests.sim import releases
from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import DAYS, QUAY, SignedRepository

OLD, NEW, EVIL = releases.make("1.0.0"), releases.make("2.0.0"), releases.make("6.6.6")
DAY = 86_400.0


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


async def test_a_listing_that_is_not_understood_is_refused_by_name(
    box: SignedBox, repository: SignedRepository
) -> None:
    repository.deploy(OLD, "1.0.0", task="divination")
    with pytest.raises(NotApproved, match=r"^listing-malformed: "):
        await box.approved(OLD.digest)


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


async def test_a_box_that_never_saw_the_release_which_brought_a_floor_keeps_it_all_the_same(
    box: SignedBox, repository: SignedRepository
) -> None:
    old = repository.listed(OLD, "1.0.0", number=1)
    repository.roles["model-harbour"].unrecognized_fields[names.FLOOR] = 2  # of one that was withdrawn
    repository.write("model-harbour")
    repository.assign(old)
    repository.publish()
    with pytest.raises(NotApproved, match=r"release-floor: models/harbour/1\.0\.0 is number 1 .* below 2; deploy"):
        await box.approved(OLD.digest)


async def test_however_long_a_thief_of_online_keys_says_that_a_document_is_no_more_of_it_is_read(
    box: SignedBox, repository: SignedRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.deploy(OLD, "1.0.0")
    await box.trust.refresh()
    version = repository.roles["assign"].version
    monkeypatch.setattr(names, "MOST_BYTES", len(repository.files[f"{version}.assign.json"]) - 1)
    with pytest.raises(LongshoreError, match=r"assign\.json is longer than"):
        await box.approved(OLD.digest)


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


@pytest.mark.parametrize("role", ["assign", "model-harbour", "models", "targets", "snapshot"])
async def test_a_file_that_expires_before_the_next_look_is_not_believed_until_then(tmp_path: Path, role: str) -> None:
    repository = SignedRepository()
    repository.roles[role].expires = repository.roles[role].expires - timedelta(days=DAYS[role]) + timedelta(hours=2)
    repository.assign(repository.listed(OLD, "1.0.0"))
    for each in ("targets", "models"):
        repository.write(each)
    repository.publish()
    async with signed_box(tmp_path, repository) as box:
        await box.approved(OLD.digest)
        await box.clock.advance(3 * 3600.0)
        with pytest.raises(Stale, match=rf"{role}\.json expired at"):
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
