"""What a site cache may fetch for others: a manifest that is listed, and assigned to any deployment of the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.adapters import files
from agent.trust.errors import Stale
from agent.trust.service import ANEW_SECONDS
from protos.ids import DeploymentName, Digest
from tests.sim.releases import make
from tests.sim.signed_box import SignedBox, signed_box
from tests.sim.signed_repository import SignedRepository
from tests.unit.signed.test_refreshing import until

GATE = DeploymentName("gate")
ONE, TWO = make("1.0.0"), make("2.0.0")


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[SignedBox]:
    async with signed_box(tmp_path, SignedRepository()) as box:
        yield box


def deployed(box: SignedBox, *, shadow: bool = False) -> None:
    repository = box.repository
    repository.assign(repository.listed(ONE, "1.0.0"), GATE, shadow=shadow)
    repository.publish()


@pytest.mark.parametrize("shadow", [False, True])
async def test_what_is_assigned_to_any_deployment_and_listed_is_named(box: SignedBox, shadow: bool) -> None:
    deployed(box, shadow=shadow)
    listing = await box.trust.listed(ONE.digest)
    assert listing is not None
    assert (listing.digest, listing.size) == (ONE.digest, len(ONE.manifest))


async def test_what_is_listed_and_not_assigned_is_not(box: SignedBox) -> None:
    deployed(box)
    box.repository.listed(TWO, "2.0.0")
    box.repository.publish()
    assert await box.trust.listed(TWO.digest) is None


async def test_what_is_assigned_and_not_listed_is_not(box: SignedBox) -> None:
    """As whoever stole the online keys would have it."""
    deployed(box)
    listing = box.repository.listed(TWO, "2.0.0")
    box.repository.assign(listing)
    del box.repository.roles["model-harbour"].targets[listing.path]
    box.repository.write("model-harbour")
    box.repository.publish()
    assert await box.trust.listed(TWO.digest) is None


async def test_what_metadata_does_not_know_is_looked_for_in_newer_one_and_strangers_cause_few_looks(
    box: SignedBox,
) -> None:
    deployed(box)
    await box.trust.listed(ONE.digest)
    box.repository.deploy(TWO, "2.0.0")
    assert await box.trust.listed(TWO.digest) is None
    unknown = [Digest(f"sha256:{each:064}") for each in range(20)]
    looks = asyncio.gather(*(box.trust.listed(digest, anew=True) for digest in [TWO.digest, *unknown]))
    await until(lambda: box.clock.sleeping == 21)
    assert box.repository.asked.count("timestamp.json") == 1
    await box.clock.advance(ANEW_SECONDS)
    found = await looks
    assert found[0] is not None
    assert found[1:] == [None] * 20
    assert box.repository.asked.count("timestamp.json") == 2


async def test_what_strangers_make_up_costs_the_disk_nothing(box: SignedBox, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(box)
    await box.trust.listed(TWO.digest)
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_file", synced.append)
    for each in range(20):
        assert await box.trust.listed(Digest(f"sha256:{each:064}")) is None
    assert not synced


async def test_expired_metadata_names_nothing(box: SignedBox) -> None:
    deployed(box)
    await box.trust.listed(ONE.digest)
    box.clock.jump(8 * 86_400.0)
    with pytest.raises(Stale):
        await box.trust.listed(ONE.digest)
