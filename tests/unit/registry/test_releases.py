"""Releases: immutable, content-addressed, complete before they exist."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.errors import Conflict, NotFound, TooLarge
from controlplane.registry.domain import check_files, release_name
from protos import manifest
from protos.errors import InvalidManifest, Rejected
from protos.ids import Digest, ModelName, Version, digest_of
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

DAY = 86_400


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


def test_a_deleted_version_may_be_pushed_again_with_other_content(plane: SimControlPlane) -> None:
    plane.push(releases.make("1.0.0"))
    plane.registry.delete_release("harbour-1-0-0")
    assert plane.push(releases.make("1.0.0", size=100)).version == "1.0.0"


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
