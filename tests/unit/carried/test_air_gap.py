"""A site without a network: export, carry, import, install, report by file; and whatever may be wrong with a stick."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from agent.adapters.carried_folder import FolderMetadata, opened
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.x509 import X509Keys
from agent.carried import importing, sealed, waiting
from agent.carried.nearest import offers
from agent.errors import DiskFull
from agent.trust.errors import Stale, Untrusted
from agent.trust.floors import Floors
from protos import carried
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import DeploymentName, digest_of, hex_of
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.far_box import FarBox, Office, far_box, files, joined

OLD, NEW = releases.make("1.0.0", 300_000), releases.make("2.0.0", 300_000)
DAY = 86_400.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(unix=time.time())  # the metadata's library reads the real one


@pytest.fixture
def plane(tmp_path: Path, clock: FakeClock) -> Iterator[SimControlPlane]:
    (tmp_path / "plane").mkdir()
    made = SimControlPlane(tmp_path / "plane", clock)
    made.services.trust.keep_fresh()
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path, plane: SimControlPlane) -> IdentityDirectory:
    (tmp_path / "box").mkdir()
    return joined(plane, tmp_path / "box", "quay-1")


@pytest.fixture
def office(plane: SimControlPlane) -> Office:
    return Office(plane)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return tmp_path / "stick"


@pytest.fixture
async def box(store: IdentityDirectory, clock: FakeClock, tmp_path: Path) -> AsyncIterator[FarBox]:
    async with far_box(tmp_path / "box", store, clock) as running:
        yield running


async def deploy(plane: SimControlPlane, made: releases.MadeRelease, version: str) -> None:
    def use() -> None:
        plane.push(made)
        answer = plane.client.put("/api/v1/deployments/gate", json={"spec": {"model": "harbour", "version": version}})
        assert answer.status_code in (200, 201), answer.text

    await asyncio.to_thread(use)


async def camera(plane: SimControlPlane) -> None:
    spec = {"node": "quay-1", "source": "rtsp://ann:secret@10.0.0.7/stream"}
    answer = await asyncio.to_thread(lambda: plane.client.put("/api/v1/cameras/gate-1", json={"spec": spec}))
    assert answer.status_code == 201, answer.text


async def exported(office: Office, stick: Path, made: releases.MadeRelease = OLD, version: str = "1.0.0") -> Path:
    await deploy(office.plane, made, version)
    await office.export(stick, "quay-1")
    return stick


async def test_a_box_that_no_network_reaches_installs_from_a_stick_and_its_report_says_so(
    office: Office, box: FarBox, stick: Path
) -> None:
    await camera(office.plane)
    await exported(office, stick)
    brought = await box.take(stick)
    await box.runs(OLD.digest)
    assert box.wished.cameras[0].source == "rtsp://ann:secret@10.0.0.7/stream"
    assert not box.problems
    answer = await office.take(await box.report())
    assert (answer.status_code, answer.json()["news"]) == (200, True), answer.text
    node = (await office.node("quay-1"))["status"]
    assert (node["phase"], node["deployments"][0]["activeDigest"]) == ("ByFile", OLD.digest)
    assert node["observedGeneration"] == brought.desired.generation == node["generation"]
    conditions = {each["type"]: each for each in node["conditions"]}
    assert "reports by file, last written 20" in conditions["Ready"]["message"]
    assert conditions["Converged"]["status"] == conditions["TrustFresh"]["status"] == "True"
    assert [each["code"] for each in node["problems"]] == []  # that it has no network is no news


async def test_the_next_stick_brings_the_next_release_and_only_its_new_files(
    office: Office, box: FarBox, stick: Path, tmp_path: Path
) -> None:
    await box.take(await exported(office, stick))
    await box.runs(OLD.digest)
    await box.until(lambda: not box.folder.blobs())  # installed: they need no room twice
    await exported(office, stick, NEW, "2.0.0")
    assert not (stick / carried.BLOBS / hex_of(OLD.digest)).exists()  # nobody needs it now
    await box.take(stick)
    assert {each.name for each in files(tmp_path / "box" / "carried" / carried.BLOBS)} <= {
        hex_of(digest) for digest in NEW.blobs.keys() - OLD.blobs.keys()
    }
    await box.runs(NEW.digest)
    await box.until(lambda: not box.folder.blobs())


async def test_after_a_restart_without_a_network_all_goes_on(
    office: Office, store: IdentityDirectory, clock: FakeClock, stick: Path, tmp_path: Path
) -> None:
    await exported(office, stick)
    async with far_box(tmp_path / "box", store, clock) as box:
        await box.take(stick)
    async with far_box(tmp_path / "box", store, clock) as box:  # killed before it took anything up
        await box.runs(OLD.digest)
        assert box.trust.proven().timestamp == box.folder.versions()[0]


async def test_how_the_newest_word_came_outlasts_a_restart_and_an_import_counts_once(
    office: Office, store: IdentityDirectory, clock: FakeClock, stick: Path, tmp_path: Path
) -> None:
    await exported(office, stick)
    async with far_box(tmp_path / "box", store, clock) as box:
        assert (box.uptake.by_hand, box.uptake.took) == (False, False)
        await box.take(stick)
        await box.runs(OLD.digest)
        assert (box.uptake.by_hand, box.uptake.took) == (True, True)
    async with far_box(tmp_path / "box", store, clock) as box:
        assert (box.uptake.by_hand, box.uptake.took) == (True, False)  # this process has proven nothing yet
        await box.until(lambda: box.uptake.took)
        box.uptake.answered()  # a network came
    async with far_box(tmp_path / "box", store, clock) as box:
        await box.until(lambda: box.uptake.took)
        assert not box.uptake.by_hand  # the same stick is no news
    clock.tick(60.0)
    await office.export(stick, "quay-1")
    async with far_box(tmp_path / "box", store, clock) as box:
        await box.take(stick)
        await box.until(lambda: box.uptake.by_hand)  # somebody came again
        box.sync.connected = True
        assert not box.uptake.by_hand


async def test_what_lies_here_and_cannot_be_proven_is_not_taken_up(
    office: Office, box: FarBox, stick: Path, plane: SimControlPlane
) -> None:
    await box.take(await exported(office, stick))
    await box.until(lambda: box.uptake.took)
    await exported(office, stick, NEW, "2.0.0")
    await box.take(stick)
    assert not box.uptake.took
    await box.until(lambda: box.uptake.took)
    flip(box.folder.path / "state")
    await box.until(lambda: bool(box.problems))
    assert not box.uptake.took


async def test_a_report_that_could_not_be_written_is_no_problem_once_it_was(
    office: Office, box: FarBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFull("no space left; free some and it goes on by itself")

    await box.take(await exported(office, stick))
    await box.until(lambda: box.uptake.took)
    with monkeypatch.context() as patch:
        patch.setattr("agent.adapters.carried_folder.CarriedFolder.keep_report", full)
        box.folder.want_report()
        await box.until(lambda: bool(box.problems))
        assert box.uptake.took
    await box.until(lambda: not box.folder.report_wanted and not box.problems)


async def test_an_import_waits_for_an_agent_that_makes_way_for_the_one_that_was_brought(
    office: Office, box: FarBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = await box.take(await exported(office, stick))
    await box.runs(OLD.digest)
    await box.clock.advance(5.0)
    told = iter([Retryable("no agent runs here"), Retryable("the agent has not answered")])
    answer = await box.report()

    def report(_: object) -> bytes:
        if error := next(told, None):
            raise error
        return answer

    monkeypatch.setattr(waiting, "report", report)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.0)
    assert waiting._settled(box.box, brought, 60.0) == answer
    told = iter([Retryable("no agent runs here")])
    with pytest.raises(Retryable, match="no agent runs here"):
        waiting._settled(box.box, brought, -1.0)


# ---- sticks that were changed ----


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


KINDS = {
    "what it is told": (f"{carried.BOXES}/*.state", Rejected, "changed on the way|damaged"),
    "timestamp": ("metadata/timestamp.json", LongshoreError, "."),
    "snapshot": ("metadata/*.snapshot.json", Untrusted, "refused"),
    "targets": ("metadata/*.targets.json", Untrusted, "refused"),
    "assignments": ("metadata/*.assign.json", LongshoreError, "."),
    "listings": ("metadata/*.model-harbour.json", LongshoreError, "."),
    "manifest": (f"{carried.BLOBS}/{hex_of(NEW.digest)}", Rejected, "was changed"),
    "model": (f"{carried.BLOBS}/{hex_of(digest_of(NEW.model))}", Rejected, "is not what its name says"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_changed_byte_in_any_kind_of_file_is_refused_and_what_answers_goes_on(
    office: Office, box: FarBox, stick: Path, kind: str
) -> None:
    await box.take(await exported(office, stick))
    await box.runs(OLD.digest)
    await box.until(lambda: not box.folder.blobs())
    before = box.folder.stamp()
    await exported(office, stick, NEW, "2.0.0")
    pattern, error, said = KINDS[kind]
    for path in files(stick, pattern):
        flip(path)
    with pytest.raises(error, match=said):
        await box.take(stick)
    assert box.folder.stamp() == before  # nothing to take up; files that were right may stay for the next try
    assert digest_of(NEW.model) not in box.folder.blobs()
    await box.clock.advance(20.0)
    assert box.answers == OLD.digest


async def test_the_agent_itself_believes_nothing_that_was_changed_after_the_import(
    office: Office, box: FarBox, stick: Path
) -> None:
    await box.take(await exported(office, stick))
    await box.runs(OLD.digest)
    generation = box.sync.desired.generation
    await exported(office, stick, NEW, "2.0.0")
    await box.take(stick)
    flip(box.folder.path / "state")
    await box.until(lambda: bool(box.problems))
    assert box.problems[0].code == "carried-refused"
    assert (box.sync.desired.generation, box.answers) == (generation, OLD.digest)


async def test_a_copied_file_that_rots_on_the_box_is_thrown_away_and_never_installed(
    office: Office, box: FarBox, stick: Path
) -> None:
    await exported(office, stick)
    brought = await box.proven(stick)
    importing.take(box.box, stick, brought)
    model = next(each.digest for each in brought.releases[OLD.digest].files if each.size > 1000)
    flip(box.folder.path / carried.BLOBS / hex_of(model))
    assert (box.folder.sound(model), box.folder.has(model)) == (False, False)


async def test_what_is_told_to_another_box_or_by_another_fleet_is_refused(
    office: Office, box: FarBox, stick: Path, tmp_path: Path, plane: SimControlPlane
) -> None:
    await exported(office, stick)
    joined(plane, tmp_path / "other", "quay-2")
    await office.export(stick, "quay-1", "quay-2")
    mine = stick / carried.BOXES / "quay-1.state"
    mine.write_bytes((stick / carried.BOXES / "quay-2.state").read_bytes())
    with pytest.raises(Rejected, match="this is for 'quay-2' and this box is 'quay-1'"):
        await box.proven(stick)
    keys, forger = X509Keys(), joined(plane, tmp_path / "third", "quay-3").load()
    content = box.sync.desired.SerializeToString()
    file = sealed.report(box.sync.report(), forger, keys)  # signed, but by a box
    mine.write_bytes(file)
    with pytest.raises(Rejected, match="this fleet's CA did not sign it"):
        await box.proven(stick)
    assert content == box.sync.desired.SerializeToString()


# ---- sticks that are old, or half there ----


async def test_an_older_stick_after_a_newer_one_is_refused_by_what_it_says_and_by_its_metadata(
    office: Office, box: FarBox, stick: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(await exported(office, stick), older)
    await exported(office, stick, NEW, "2.0.0")
    await box.take(stick)
    await box.runs(NEW.digest)
    with pytest.raises(Rejected, match="it is older"):
        await box.proven(older)
    shutil.copy(stick / carried.BOXES / "quay-1.state", older / carried.BOXES / "quay-1.state")
    with pytest.raises(Untrusted, match=r"json is version \d+ and this box has seen"):
        await box.proven(older)
    assert box.answers == NEW.digest


async def test_the_agent_acts_on_nothing_older_than_it_does_and_on_no_stick_while_its_control_plane_answers(
    office: Office, box: FarBox, stick: Path
) -> None:
    older = (await box.take(await exported(office, stick))).desired
    await box.runs(OLD.digest)
    newer = (await box.take(await exported(office, stick, NEW, "2.0.0"))).desired
    await box.runs(NEW.digest)
    assert box.sync.carried(older) is False
    box.sync.connected = True
    assert box.sync.carried(newer) is False
    assert box.sync.desired.generation == newer.generation


LEFT_OUT = {
    carried.SUMS: "not a finished export",
    f"{carried.BOXES}/quay-1.state": "holds nothing for this box, quay-1",
    "metadata/timestamp.json": "timestamp.json is not there",
    "metadata/*.assign.json": "assign.json is not there",
    f"{carried.BLOBS}/{hex_of(OLD.digest)}": "is half copied",
    f"{carried.BLOBS}/*": "is half copied",
}


@pytest.mark.parametrize("name", LEFT_OUT)
async def test_a_stick_that_is_half_copied_is_refused_and_says_what_to_do(
    office: Office, box: FarBox, stick: Path, name: str
) -> None:
    await exported(office, stick)
    for path in files(stick, name):
        path.unlink()
    try:
        said = " ".join((await box.proven(stick)).notes)
    except (Rejected, Retryable) as error:
        said = str(error)
    assert LEFT_OUT[name] in said
    assert not box.folder.blobs()


async def test_a_stick_that_is_pulled_out_while_importing_goes_on_where_it_was(
    office: Office, box: FarBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exported(office, stick)
    brought = await box.proven(stick)
    taken = list[str]()

    def pulled_out(source: Path) -> BinaryIO:
        taken.append(source.name)
        return opened(source if len(taken) != 2 else source.with_name("gone"))

    with monkeypatch.context() as patch:
        patch.setattr("agent.carried.importing.opened", pulled_out)
        with pytest.raises(Retryable, match="gone is not there"):
            importing.take(box.box, stick, brought)
    assert (box.folder.stamp(), len(box.folder.blobs())) == ((0, 0), 1)  # nothing is taken up by that
    importing.take(box.box, stick, await box.proven(stick))
    await box.runs(OLD.digest)


async def test_a_full_disk_is_told_before_anything_is_copied(
    office: Office, box: FarBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exported(office, stick)
    brought = await box.proven(stick)
    usage = shutil.disk_usage(stick)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(DiskFull, match="its disk has 1 MiB free"):
        importing.take(box.box, stick, brought)
    assert box.folder.blobs() == []


async def test_a_stick_that_cannot_be_written_gets_no_report_and_that_is_said(
    office: Office, box: FarBox, stick: Path
) -> None:
    await exported(office, stick)
    shutil.rmtree(stick / carried.REPORTS)
    (stick / carried.REPORTS).write_bytes(b"")  # what makes a folder fail for root as well
    said = waiting._brought_back(box.box, stick, b"report")
    assert "no report was written to the stick" in said
    assert "longshore-agent report -o FILE" in said


async def test_a_link_that_was_planted_on_the_box_or_on_the_stick_is_not_written_through(
    office: Office, box: FarBox, stick: Path, tmp_path: Path
) -> None:
    await exported(office, stick)
    brought, elsewhere = await box.proven(stick), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("by somebody else")
    box.folder.make()
    shutil.rmtree(box.folder.path / carried.BLOBS)
    (box.folder.path / carried.BLOBS).symlink_to(elsewhere)
    with pytest.raises(Rejected, match="is a link"):
        importing.take(box.box, stick, brought)
    shutil.rmtree(stick / carried.REPORTS)
    (stick / carried.REPORTS).symlink_to(elsewhere)
    assert "is a link" in waiting._brought_back(box.box, stick, b"report")
    assert [path.name for path in elsewhere.iterdir()] == ["kept"]


async def test_links_and_first_roots_of_a_stick_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (tmp_path / "1.root.json").symlink_to(secret)
    (tmp_path / "root.json").write_text("{}")
    source = FolderMetadata(tmp_path)
    with pytest.raises(Retryable, match="is a link"):
        await source.get("1.root.json", 100)
    with pytest.raises(Untrusted, match="takes none by hand"):
        await source.get("root.json", 100)


# ---- what comes back ----


async def test_a_report_that_is_older_than_what_is_known_changes_nothing(office: Office, box: FarBox) -> None:
    first = await box.report()
    await box.clock.advance(60.0)
    second = await box.report()
    assert (await office.take(second)).json()["news"] is True
    assert (await office.take(second)).json()["news"] is False
    seen = (await office.node("quay-1"))["status"]["lastSeen"]
    answer = await office.take(first)
    assert (answer.status_code, "bring the newest" in answer.text) == (422, True)
    assert (await office.node("quay-1"))["status"]["lastSeen"] == seen


async def test_a_report_counts_by_the_key_that_signed_it(
    office: Office, box: FarBox, plane: SimControlPlane, tmp_path: Path
) -> None:
    file = bytearray(await box.report())
    file[20] ^= 1
    assert (await office.take(bytes(file))).status_code in (401, 422)
    other, mine = joined(plane, tmp_path / "other", "quay-2").load(), box.store.load()
    forged = replace(other, certificate=mine.certificate)  # which is no secret
    assert (await office.take(sealed.report(box.sync.report(), forged, X509Keys()))).status_code == 401
    await office.take(sealed.report(box.sync.report(), other, X509Keys()))
    assert (await office.node("quay-1"))["status"]["phase"] == "Joined"  # another box said it of itself
    assert (await office.take(b"nonsense")).status_code == 422
    file_of_revoked = await box.report()
    await asyncio.to_thread(lambda: plane.client.delete("/api/v1/nodes/quay-1"))
    assert (await office.take(file_of_revoked)).status_code == 401


# ---- time ----


async def test_old_metadata_is_a_problem_before_it_expires_and_stops_only_what_is_new(
    office: Office, box: FarBox, stick: Path, plane: SimControlPlane
) -> None:
    spec = {"metadata": {"timestamp": "60d", "snapshot": "90d", "assign": "90d"}}
    await asyncio.to_thread(lambda: plane.client.put("/api/v1/settings/fleet", json={"spec": spec}))
    await box.take(await exported(office, stick))
    await box.runs(OLD.digest)
    box.clock.jump(40 * DAY)
    assert [each.code for each in box.trust.problems()] == []
    box.clock.jump(6 * DAY)
    assert [each.code for each in box.trust.problems()] == ["metadata-old"]
    assert "46 days old" in box.trust.problems()[0].message
    box.clock.jump(20 * DAY)
    with pytest.raises(Stale):
        await box.trust.approved(DeploymentName("gate"), NEW.digest)
    assert [each.code for each in box.trust.problems()] == ["metadata-expired"]
    assert box.answers == OLD.digest


@pytest.mark.parametrize(
    ("versions", "offered"), [((0, 0), False), ((9, 1), False), ((10, 1), True), ((9, 3), True), ((11, 2), True)]
)
def test_what_was_carried_is_asked_unless_it_is_older_than_what_is_proven(
    versions: tuple[int, int], offered: bool
) -> None:
    assert offers(versions, Floors(root=2, roles={"timestamp": 10})) is offered


# ---- writing a stick ----


async def test_an_export_that_broke_off_goes_on_and_is_not_taken_before_it_is_whole(
    office: Office, box: FarBox, stick: Path
) -> None:
    await deploy(office.plane, OLD, "1.0.0")
    office.away_after = 11
    with pytest.raises(Retryable):
        await office.export(stick, "quay-1")
    with pytest.raises(Rejected, match="not a finished export"):
        await box.proven(stick)
    office.away_after, office.asked[:] = 1 << 30, []
    await office.export(stick, "quay-1")
    asked = len([each for each in office.asked if "/blobs/" in each])
    office.asked.clear()
    await office.export(stick, "quay-1")
    assert asked <= 4
    assert not [each for each in office.asked if "/blobs/" in each]
    await box.take(stick)


@pytest.mark.usefixtures("store")
async def test_a_part_of_a_file_is_gone_on_from_and_proven(office: Office, stick: Path) -> None:
    await deploy(office.plane, OLD, "1.0.0")
    (stick / carried.BLOBS).mkdir(parents=True)
    model = next(digest for digest, body in OLD.blobs.items() if len(body) > 100_000)
    (stick / carried.BLOBS / f".{hex_of(model)}.part").write_bytes(OLD.blobs[model][:200_000])
    told = await office.export(stick, "quay-1")
    assert (stick / carried.BLOBS / hex_of(model)).read_bytes() == OLD.blobs[model]
    rest = sum(map(len, OLD.blobs.values())) - 200_000
    assert f"{rest} bytes of them new" in told[0]


@pytest.mark.usefixtures("store")
async def test_a_part_that_is_damaged_is_thrown_away_and_fetched_anew(office: Office, stick: Path) -> None:
    await deploy(office.plane, OLD, "1.0.0")
    (stick / carried.BLOBS).mkdir(parents=True)
    model = next(digest for digest, body in OLD.blobs.items() if len(body) > 100_000)
    (stick / carried.BLOBS / f".{hex_of(model)}.part").write_bytes(bytes(200_000))
    with pytest.raises(Retryable, match="came damaged"):
        await office.export(stick, "quay-1")
    await office.export(stick, "quay-1")
    assert (stick / carried.BLOBS / hex_of(model)).read_bytes() == OLD.blobs[model]


async def test_only_the_releases_of_named_deployments_are_brought(office: Office, box: FarBox, stick: Path) -> None:
    await deploy(office.plane, OLD, "1.0.0")
    other = {"spec": {"model": "harbour", "version": "2.0.0"}}
    await asyncio.to_thread(lambda: office.plane.push(NEW))
    await asyncio.to_thread(lambda: office.plane.client.put("/api/v1/deployments/yard", json=other))
    await office.export(stick, "quay-1", deployments=("gate",))
    assert hex_of(NEW.digest) not in {each.name for each in files(stick)}
    brought = await box.proven(stick)
    assert [note for note in brought.notes if "yard: its release" in note]
    with pytest.raises(Rejected, match="none of these boxes has a deployment 'quay'"):
        await office.export(stick, "quay-1", deployments=("quay",))
    with pytest.raises(Rejected, match=r"node id '\.\./x' must be"):
        await office.export(stick, "../x")


async def test_an_operator_cannot_export_since_credentials_of_cameras_are_in_it(plane: SimControlPlane) -> None:
    from controlplane.identity.roles import Role, needed

    assert needed("POST", "/api/v1/exports/quay-1") is Role.ADMIN
