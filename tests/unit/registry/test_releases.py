"""Releases: immutable, content-addressed, complete before they exist."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from controlplane.errors import Conflict, NotFound, TooLarge
from controlplane.fleet.reports import DeploymentReport, Report
from controlplane.identity.domain import Admission
from controlplane.identity.repository import IdentityRepository
from controlplane.registry.domain import check_files
from protos import manifest
from protos.errors import InvalidManifest, Rejected, Retryable
from protos.ids import Digest, ModelName, NodeId, Version, digest_of, release_name
from protos.manifest import Manifest, Measured
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

DAY = 86_400
SECONDS = 60  # ends a wait for what never comes


def deploy(plane: SimControlPlane, version: str) -> None:
    spec = {"model": "harbour", "version": version}
    plane.services.fleet.apply_deployment("harbour", {"kind": "Deployment", "spec": spec})


def test_the_first_push_makes_the_model(plane: SimControlPlane) -> None:
    release = plane.push(releases.make("1.0.0"))
    assert release.name == "harbour-1-0-0"
    assert [each.version for each in plane.registry.model("harbour").releases] == ["1.0.0"]


def test_pushing_the_same_again_is_a_no_op(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    first = plane.push(made)
    again, new = plane.registry.create_release(made.manifest)
    assert (again, new) == (first, False)
    assert len(plane.inspector.seen) == 1


def test_other_content_under_the_same_version_is_refused(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    other = manifest.parse(releases.make("1.0.0").manifest)
    with pytest.raises(Conflict, match=r"exists with other content.*another version"):
        plane.registry.create_release(manifest.to_bytes(replace(other, labels=("boat", "crane"))))


def test_two_versions_cannot_share_a_name(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    with pytest.raises(Conflict, match=r"is version 1.0.0 already"):
        plane.push(releases.make("1-0-0"))


def test_a_release_without_one_of_its_files_is_refused_by_name(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    plane.upload(made.model)
    with pytest.raises(Rejected, match=r"labels.txt is not here yet; run 'longshore push' again"):
        plane.registry.create_release(made.manifest)


def test_a_manifest_that_lies_about_a_size_is_refused(plane: SimControlPlane) -> None:
    described = manifest.parse(releases.make("1.0.0").manifest)
    sizes: dict[Digest, int | None] = {entry.digest: entry.size + 1 for entry in described.files}
    with pytest.raises(Rejected, match="but its content has"):
        check_files(described, sizes, cap=1 << 30)


def test_what_is_no_manifest_is_refused_with_the_command_to_run(plane: SimControlPlane) -> None:
    with pytest.raises(InvalidManifest, match="longshore package"):
        plane.registry.create_release(b"\x08\x07\x12\x04onnx")


def test_a_model_file_that_fails_inspection_makes_no_release(plane: SimControlPlane) -> None:
    plane.inspector.refuses["model.onnx"] = "is no ONNX file"
    with pytest.raises(Rejected, match=r"model.onnx is no ONNX file"):
        plane.push(releases.make("1.0.0"))
    assert plane.registry.releases() == []
    assert plane.registry.models() == []


def test_the_manifest_is_kept_as_the_very_bytes_that_came(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    newer = made.manifest.replace(b'"variants":', b'"unheardOf":{"b":[1,2.5]},"variants":')
    for content in made.blobs.values():
        plane.upload(content)
    release, _ = plane.registry.create_release(newer)
    assert release.manifest == newer
    assert release.digest == digest_of(newer)


def test_a_manifest_has_one_spelling(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    for content in made.blobs.values():
        plane.upload(content)
    with pytest.raises(Rejected, match="not canonical JSON"):
        plane.registry.create_release(made.manifest.replace(b'"name":"harbour"', b'"name" : "harbour"'))


def test_boxes_fetch_a_manifest_as_they_fetch_any_file(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    release = plane.push(made)
    assert b"".join(plane.registry.read_blob(release.digest)) == made.manifest


def test_a_release_that_runs_somewhere_is_not_deleted(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    deploy(plane, "1.0.0")
    with pytest.raises(Conflict, match="deployment harbour runs release harbour-1-0-0"):
        plane.registry.delete_release("harbour-1-0-0")


def test_a_release_that_still_answers_on_a_box_is_not_deleted(plane: SimControlPlane) -> None:
    """Its Deployment has moved on, the box has not: it may have to fetch a file again."""
    old = plane.push(releases.make("1.0.0"))
    with plane.database.begin() as session:
        IdentityRepository(session).admit_node(Admission(NodeId("quay-1"), {}, "edge", rejoin=True), 0)
    runs = DeploymentReport("harbour", "IDLE", active_digest=old.digest)
    plane.services.boxes.sync(NodeId("quay-1"), Report(deployments=(runs,)))
    with pytest.raises(
        Conflict, match="release harbour-1-0-0 still answers on quay-1; wait until that box has moved on"
    ):
        plane.registry.delete_release("harbour-1-0-0")
    plane.services.boxes.sync(NodeId("quay-1"), Report(deployments=(replace(runs, active_digest="sha256:other"),)))
    plane.registry.delete_release("harbour-1-0-0")


def quota(plane: SimControlPlane, size: str) -> None:
    plane.services.settings.apply("fleet", {"spec": {"registry": {"quota": size}}})


def test_a_push_beyond_the_quota_is_refused_before_a_byte_is_sent_with_what_to_delete(plane: SimControlPlane) -> None:
    quota(plane, "1MiB")
    for version in ("1.0.0", "1.1.0"):
        plane.push(releases.make(version, 400_000))
    deploy(plane, "1.0.0")
    with pytest.raises(TooLarge) as refused:
        plane.push(releases.make("1.2.0", 400_000))
    said = str(refused.value)
    assert "the registry holds 781.3 KiB of the 1.0 MiB it may, and this needs 390.6 KiB more" in said
    assert "delete releases that nobody runs, the oldest: harbour-1-1-0 (390.6 KiB)" in said
    assert "longshore edit settings fleet" in said
    plane.registry.delete_release("harbour-1-1-0")
    plane.push(releases.make("1.2.0", 400_000))  # its room is there at once
    deploy(plane, "1.2.0")


def test_where_every_release_is_in_use_the_quota_is_what_can_be_changed(plane: SimControlPlane) -> None:
    quota(plane, "1MiB")
    plane.push(releases.make("1.0.0", 800_000))
    deploy(plane, "1.0.0")
    with pytest.raises(TooLarge, match="every release is in use, so raise registry"):
        plane.push(releases.make("1.1.0", 800_000))
    quota(plane, "none")
    plane.push(releases.make("1.1.0", 800_000))


def test_files_that_releases_share_and_uploads_under_way_count_once(plane: SimControlPlane) -> None:
    quota(plane, "1MiB")
    plane.push(releases.make("1.0.0", 500_000))
    upload = plane.registry.begin_upload(digest_of(b"x"), 500_000)
    assert plane.registry.begin_upload(digest_of(b"x"), 500_000).id == upload.id
    with pytest.raises(TooLarge):
        plane.registry.begin_upload(digest_of(b"y"), 100_000)
    plane.push(releases.make("1.0.0", 500_000))  # the same again needs no room


def test_two_pushes_that_fit_one_by_one_do_not_go_beyond_the_quota_together(plane: SimControlPlane) -> None:
    quota(plane, "1MiB")
    one, other = releases.make("1.0.0", 600_000), releases.make("1.1.0", 600_000)
    for digest, content in {**one.blobs, **other.blobs}.items():
        if digest not in (one.digest, other.digest):
            plane.upload(content)
    plane.registry.create_release(one.manifest)
    with pytest.raises(TooLarge, match="this needs 586"):
        plane.registry.create_release(other.manifest)


def test_a_release_nobody_runs_is_deleted_and_its_model_after_it(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    with pytest.raises(Conflict, match="delete its releases first"):
        plane.registry.delete_model("harbour")
    plane.registry.delete_release("harbour-1-0-0")
    plane.registry.delete_model("harbour")
    with pytest.raises(NotFound):
        plane.registry.release("harbour-1-0-0")
    with pytest.raises(NotFound):
        plane.registry.model("harbour")


@pytest.mark.parametrize("model_too", [False, True])
def test_a_deleted_version_comes_back_with_the_same_content_only(plane: SimControlPlane, *, model_too: bool) -> None:
    made = releases.make("1.0.0")
    first = plane.push(made)
    plane.registry.delete_release("harbour-1-0-0")
    if model_too:
        plane.registry.delete_model("harbour")
    with pytest.raises(Conflict, match=r"harbour 1.0.0 was deleted and had other content.*another version"):
        plane.push(releases.make("1.0.0", size=100))
    again = plane.push(made)
    assert (again.digest, again.uid == first.uid) == (first.digest, False)
    plane.registry.delete_release("harbour-1-0-0")
    assert plane.push(releases.make("1.0.1", size=100)).version == "1.0.1"


def test_a_release_made_under_older_rules_is_read_and_pushed_again(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = releases.make("1.0.0")
    plane.push(made)

    def stricter(_: bytes) -> Manifest:
        raise InvalidManifest("manifest: no such thing any more")

    monkeypatch.setattr(manifest, "parse", stricter)
    monkeypatch.setattr("protos.manifest.MOST_FILES", 1)
    assert plane.registry.create_release(made.manifest)[1] is False
    assert plane.client.get("/api/v1/releases/harbour-1-0-0").status_code == 200
    assert len(plane.client.get("/api/v1/releases").json()["items"]) == 1


def one_of_each(**counts: int) -> Manifest:
    """A release with so many files, variants and labels."""
    described = manifest.parse(releases.make("1.0.0").manifest)
    entry, variant = described.file("model.onnx"), described.variants[0]
    return replace(
        described,
        files=tuple(replace(entry, path=f"{number}.onnx") for number in range(counts.get("files", 1))),
        variants=tuple(replace(variant, name=f"v{number}") for number in range(counts.get("variants", 1))),
        labels=("x" * counts.get("letters", 1),) * counts.get("labels", 1),
    )


@pytest.mark.parametrize(
    ("what", "most", "said"),
    [
        ("files", 64, "65 files are more than the 64 allowed"),
        ("variants", 16, "17 variants are more than the 16 allowed"),
        ("labels", 32_768, "32769 labels are more than the 32768 allowed"),
        ("letters", 256, "257 characters in a label are more than the 256 allowed"),
    ],
)
def test_a_release_has_so_many_parts_and_no_more(what: str, most: int, said: str) -> None:
    manifest.check_counts(one_of_each(**{what: most}))
    with pytest.raises(Rejected, match=said):
        manifest.check_counts(one_of_each(**{what: most + 1}))


def test_an_onnx_file_above_two_gigabytes_is_refused_whatever_the_cap() -> None:
    described = manifest.parse(releases.make("1.0.0").manifest)
    large = replace(described.file("model.onnx"), size=2 << 30)
    sizes: dict[Digest, int | None] = {large.digest: large.size}
    with pytest.raises(TooLarge, match=r"model.onnx is an ONNX file of more than 2147483647 bytes"):
        check_files(replace(described, files=(large,)), sizes, cap=8 << 30)


def test_a_few_releases_are_looked_into_at_once_and_the_next_is_told_to_wait(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (releases.make(version) for version in ("1.0.0", "2.0.0", "3.0.0"))
    for made in (first, second):
        plane.upload_files(made)  # one after the other: they have a file in common, which only one may send at a time
    inside, done = threading.Barrier(3), threading.Event()

    def slowly(*_: object) -> Measured:
        inside.wait(SECONDS)
        done.wait(SECONDS)
        return plane.inspector.measures

    with monkeypatch.context() as slow, ThreadPoolExecutor(2) as others:
        slow.setattr(plane.inspector, "inspect", slowly)
        pushes = [others.submit(plane.registry.create_release, made.manifest) for made in (first, second)]
        inside.wait(SECONDS)
        with pytest.raises(Retryable, match="push again in a moment"):
            plane.push(third)
        plane.registry.sweep()  # waits for nobody who is being looked into
        done.set()
        assert [push.result()[0].version for push in pushes] == ["1.0.0", "2.0.0"]
    assert plane.push(third).version == "3.0.0"


def test_no_sweep_takes_a_file_that_a_push_has_just_been_told_is_here(plane: SimControlPlane, clock: FakeClock) -> None:
    made = releases.make("1.0.0")
    plane.push(made)
    plane.registry.delete_release("harbour-1-0-0")
    clock.tick(DAY + 1)
    for content in (made.model, b"boat\ncontainer\n", b"# harbour 1.0.0\n"):
        assert plane.registry.begin_upload(digest_of(content), len(content)).complete
    plane.registry.sweep()
    assert plane.registry.create_release(made.manifest)[1]


def test_no_sweep_takes_a_file_while_its_release_is_looked_into(
    plane: SimControlPlane, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = releases.make("1.0.0")
    for content in made.blobs.values():
        plane.upload(content)
    clock.tick(DAY + 1)

    def meanwhile(*_: object) -> Measured:
        plane.registry.sweep()
        return plane.inspector.measures

    monkeypatch.setattr(plane.inspector, "inspect", meanwhile)
    plane.registry.create_release(made.manifest)
    assert set(made.blobs) == {digest for digest, _ in plane.blobs.stored()}


def test_files_go_a_day_after_the_last_release_that_named_them(plane: SimControlPlane, clock: FakeClock) -> None:
    old, new = releases.make("1.0.0"), releases.make("2.0.0")
    plane.push(old)
    plane.push(new)
    plane.registry.delete_release("harbour-1-0-0")
    plane.registry.sweep()
    assert plane.blobs.size(old.model_digest)
    clock.tick(DAY + 1)
    plane.registry.sweep()
    kept = {digest for digest, _ in plane.blobs.stored()}
    assert kept == set(new.blobs)


def test_an_upload_given_up_is_forgotten_after_a_day(plane: SimControlPlane, clock: FakeClock) -> None:
    upload = plane.registry.begin_upload(digest_of(b"abc"), 3)
    receiving = plane.registry.receive(upload.id, 0)
    receiving.write(b"ab")
    receiving.close()
    clock.tick(DAY + 1)
    plane.registry.sweep()
    with pytest.raises(NotFound, match="push again"):
        plane.registry.upload(upload.id)
    assert plane.blobs.staged(upload.id) == 0


def test_an_upload_over_a_thin_line_may_take_longer_than_a_day(plane: SimControlPlane, clock: FakeClock) -> None:
    upload = plane.registry.begin_upload(digest_of(b"abcd"), 4)
    for offset, chunk in enumerate((b"a", b"b", b"c")):
        receiving = plane.registry.receive(upload.id, offset)
        receiving.write(chunk)
        receiving.close()
        clock.tick(DAY - 1)
        plane.registry.sweep()
    assert plane.registry.upload(upload.id).offset == 3


def test_an_upload_is_not_swept_while_somebody_sends(plane: SimControlPlane, clock: FakeClock) -> None:
    upload = plane.registry.begin_upload(digest_of(b"abc"), 3)
    receiving = plane.registry.receive(upload.id, 0)
    receiving.write(b"ab")
    clock.tick(DAY + 1)
    plane.registry.sweep()
    receiving.write(b"c")
    assert receiving.finish().complete
    receiving.close()


def test_what_an_upload_left_is_swept_though_nobody_knows_of_it(plane: SimControlPlane, clock: FakeClock) -> None:
    with plane.blobs.stage("ffffffffffffffff") as staging:  # its row went, then the power
        staging.write(b"ab")
    plane.registry.sweep()
    assert plane.blobs.staged("ffffffffffffffff") == 2
    clock.tick(DAY + 1)
    plane.registry.sweep()
    assert plane.blobs.staged("ffffffffffffffff") == 0


def test_the_refusal_of_a_large_file_says_how_to_take_it(plane: SimControlPlane) -> None:
    assert plane.config.max_file_bytes < 2 << 30  # no ONNX file is larger
    with pytest.raises(TooLarge, match=r"--max-file-bytes 3000000000 \(or LONGSHORE_MAX_FILE_BYTES=3000000000\)"):
        plane.registry.begin_upload(digest_of(b"x"), 3_000_000_000)


def test_a_file_above_the_cap_is_refused_before_a_byte_is_sent(plane: SimControlPlane) -> None:
    with pytest.raises(TooLarge, match=f"more than the {plane.config.max_file_bytes} allowed"):
        plane.registry.begin_upload(digest_of(b"x"), plane.config.max_file_bytes + 1)


@pytest.mark.parametrize(
    ("version", "name"), [("1.0.0", "m-1-0-0"), ("2026-11-23", "m-2026-11-23"), ("V1+b_2", "m-v1-b-2")]
)
def test_a_release_is_named_after_its_model_and_version(version: str, name: str) -> None:
    assert release_name(ModelName("m"), Version(version)) == name


def test_a_release_is_found_by_its_exact_version_only(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    assert plane.registry.release_of(ModelName("harbour"), Version("1.0.0"))
    assert plane.registry.release_of(ModelName("harbour"), Version("1-0-0")) is None
