"""Pushing a release: whole, resumed, refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shlex
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from controlplane import tables
from controlplane.cli import parcels, pushing
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.exits import Conflict
from controlplane.cli.pushing import push
from protos import ids
from protos.errors import Rejected, Retryable
from tests.sim import releases
from tests.sim.command import Run, release_folder
from tests.sim.control_plane import SimControlPlane

MADE = releases.make("1.0.0", size=300_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return release_folder(MADE, tmp_path / "harbour-1.0.0")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "CHUNK", 64 << 10)


def test_a_folder_is_pushed_once_and_again_is_no_news(longshore: Run, house: SimControlPlane, folder: Path) -> None:
    first = longshore("push", str(folder))
    assert (first.code, first.out.splitlines()[0][:29]) == (0, "release/harbour-1-0-0 pushed ")
    assert house.registry.release("harbour-1-0-0").digest == MADE.digest
    again = longshore("push", str(folder))
    assert (again.code, again.out.splitlines()[0]) == (0, "release/harbour-1-0-0 unchanged")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("top", ["", "./", "harbour-1.0.0/"])
def test_a_tar_is_pushed_as_it_is(
    longshore: Run, house: SimControlPlane, folder: Path, tmp_path: Path, suffix: str, top: str
) -> None:
    packed = tmp_path / f"release{suffix}"
    with tarfile.open(packed, "w:gz" if suffix.endswith("gz") else "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=f"{top}{path.name}")
    assert longshore("push", str(packed)).code == 0
    assert house.registry.release("harbour-1-0-0").digest == MADE.digest


class FlakyClient(Client):
    """A client whose wire breaks at the calls that the test names, before or after the server got them."""

    def __init__(self, context: Context, breaks: dict[int, bool]) -> None:
        super().__init__(context)
        self.patches = 0
        self.sent = 0
        self._breaks = breaks

    def __enter__(self) -> FlakyClient:
        return self

    def call(self, method: str, path: str, **options: Any) -> Any:
        if method != "PATCH":
            return super().call(method, path, **options)
        self.patches += 1
        arrives = self._breaks.get(self.patches)
        if arrives is False:
            raise Retryable("the wire broke on the way there")
        answer = super().call(method, path, **options)
        self.sent += len(options["content"])
        if arrives is True:
            raise Retryable("the wire broke on the way back")
        return answer


def test_a_push_goes_on_where_the_wire_broke(house: SimControlPlane, url: str, folder: Path) -> None:
    pauses: list[float] = []
    with FlakyClient(Context(url, house.token), {1: False, 3: True, 5: False}) as client:
        pushed = push(client, folder, sleep=pauses.append)
    assert pushed.new
    assert client.sent == MADE.total
    assert len(pauses) == 3


def test_a_push_interrupted_for_good_goes_on_when_it_is_run_again(
    house: SimControlPlane, url: str, folder: Path
) -> None:
    dead = dict.fromkeys(range(3, 100), False)
    with FlakyClient(Context(url, house.token), dead) as client, pytest.raises(Retryable):
        push(client, folder, sleep=lambda _: None)
    with FlakyClient(Context(url, house.token), {}) as second:
        assert push(second, folder).new
    assert client.sent + second.sent == MADE.total


class Forgetful(Client):
    """A client whose uploads the control plane gives up, or moves on, before the PATCHes that the test names."""

    def __init__(self, context: Context, before: Callable[[int], None]) -> None:
        super().__init__(context)
        self.patches = 0
        self._before = before

    def __enter__(self) -> Forgetful:
        return self

    def call(self, method: str, path: str, **options: Any) -> Any:
        if method == "PATCH":
            self.patches += 1
            self._before(self.patches)
        return super().call(method, path, **options)


def _forget_uploads(house: SimControlPlane) -> None:
    with house.database.read() as session:
        uploads = list(session.scalars(select(tables.Upload.id)))
    for upload in uploads:
        house.registry.forget_upload(upload)


def test_an_upload_that_vanished_is_begun_anew(house: SimControlPlane, url: str, folder: Path) -> None:
    def before(patch: int) -> None:
        if patch == 3:
            _forget_uploads(house)

    with Forgetful(Context(url, house.token), before) as client:
        assert push(client, folder, sleep=lambda _: None).new


def test_an_upload_that_somebody_else_moved_on_goes_on_from_there(
    house: SimControlPlane, url: str, folder: Path
) -> None:
    def before(patch: int) -> None:
        if patch == 2:
            upload = house.registry.begin_upload(MADE.model_digest, len(MADE.model))
            receiving = house.registry.receive(upload.id, upload.offset)
            receiving.write(MADE.model[upload.offset : upload.offset + 1000])
            receiving.close()

    with Forgetful(Context(url, house.token), before) as client:
        pushed = push(client, folder, sleep=lambda _: None)
    assert (pushed.new, pushed.sent_bytes) == (True, MADE.total - 1000)


def test_uploads_that_vanish_again_and_again_are_given_up(house: SimControlPlane, url: str, folder: Path) -> None:
    def before(patch: int) -> None:
        if patch % 2 == 0:  # each time one more piece arrives before
            _forget_uploads(house)

    with (
        Forgetful(Context(url, house.token), before) as client,
        pytest.raises(Retryable, match=r"the upload of \S+ does not get on \(there is no such upload"),
    ):
        push(client, folder, sleep=lambda _: None)
    assert client.patches < 3 * pushing.TRIES


def test_a_control_plane_that_restarts_before_the_manifest_is_waited_for(
    house: SimControlPlane, url: str, folder: Path
) -> None:
    class Restarting(Client):
        posts = 0

        def call(self, method: str, path: str, **options: Any) -> Any:
            if (method, path) == ("POST", "/releases"):
                self.posts += 1
                if self.posts < 3:
                    raise Retryable("nobody answers")
            return super().call(method, path, **options)

    pauses: list[float] = []
    with Restarting(Context(url, house.token)) as client:
        assert push(client, folder, sleep=pauses.append).new
    assert len(pauses) == 2


def test_progress_is_told_for_each_file(house: SimControlPlane, url: str, folder: Path) -> None:
    told: dict[tuple[str, str], tuple[int, int]] = {}

    def progress(doing: str, file: str, done: int, total: int) -> None:
        assert done >= told.get((doing, file), (0, 0))[0]
        told[doing, file] = (done, total)

    with Client(Context(url, house.token)) as client:
        push(client, folder, progress)
    assert set(told) == {
        (doing, file) for doing in ("checking", "sending") for file in ("model.onnx", "labels.txt", "card.md")
    }
    assert all(done == total for done, total in told.values())


def test_a_file_changed_after_packaging_is_refused_before_anything_is_sent(
    longshore: Run, house: SimControlPlane, folder: Path
) -> None:
    (folder / "labels.txt").write_bytes(b"boat\ncontainxr\n")
    result = longshore("push", str(folder))
    assert (result.code, "labels.txt was changed after the release was packaged" in result.err) == (1, True)
    assert house.registry.releases() == []


def test_other_content_under_the_same_version_is_refused(longshore: Run, folder: Path, tmp_path: Path) -> None:
    longshore("push", str(folder))
    other = release_folder(releases.make("1.0.0", size=1000), tmp_path / "other")
    result = longshore("push", str(other))
    assert result.code == 1
    assert "1.0.0 exists with other content" in result.err


@pytest.mark.parametrize("version", ["1.0.0", "1.0-0"])
def test_a_version_that_is_taken_is_found_before_anything_is_sent(
    house: SimControlPlane, url: str, tmp_path: Path, version: str
) -> None:
    house.push(releases.make("1.0.0", size=1000))
    other = releases.make(version, size=2000)
    with FlakyClient(Context(url, house.token), {}) as client, pytest.raises(Conflict):
        push(client, release_folder(other, tmp_path / "other"))
    assert client.patches == 0
    assert house.blobs.size(other.model_digest) is None


def test_a_bare_onnx_is_refused_with_the_command_to_run(longshore: Run, tmp_path: Path) -> None:
    (tmp_path / "My Boats.onnx").write_bytes(b"\x08\x08")
    result = longshore("push", str(tmp_path / "My Boats.onnx"))
    assert result.code == 1
    assert "make a release of it first: longshore package" in result.err
    command = shlex.split(result.err.partition("first: ")[2])
    assert command == [
        *("longshore", "package", str(tmp_path / "My Boats.onnx"), "--name", "my-boats", "--version", "1.0.0"),
        *("-o", str(tmp_path / "My Boats-release")),
    ]


@pytest.mark.parametrize("stem", ["Ärger im Hafen", "日本", "x" * 100, "-a-"])
def test_the_name_in_that_command_is_one_that_package_takes(stem: str) -> None:
    ids.model_name(parcels._name_of(Path(f"{stem}.onnx")))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing", None, "is not there; name a release folder or tar"),
        ("text.tar", b"no tar at all", "is neither a release folder nor a tar of one"),
        ("cut.tar.gz", b"\x1f\x8b\x08\x00", "is neither a release folder nor a tar of one"),
    ],
)
def test_what_is_no_release_is_refused(
    longshore: Run, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = longshore("push", str(tmp_path / name))
    assert (result.code, said in result.err) == (1, True)


def test_a_pipe_or_device_is_there_and_no_release(longshore: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        result = longshore("push", str(path))
        assert result.err == f"error: {path} is neither a folder nor a plain file; name a release folder or tar\n"


def test_a_folder_without_a_manifest_is_told_about_package(longshore: Run, tmp_path: Path) -> None:
    result = longshore("push", str(tmp_path))
    assert (result.code, "make a release with 'longshore package' first" in result.err) == (1, True)


def test_a_link_in_a_release_is_refused(folder: Path, tmp_path: Path, url: str, house: SimControlPlane) -> None:
    (folder / "labels.txt").unlink()
    (folder / "labels.txt").symlink_to("/etc/hostname")
    with Client(Context(url, house.token)) as client, pytest.raises(Rejected, match="is no plain file"):
        push(client, folder)
    packed = tmp_path / "linked.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(folder, arcname="r")
    with Client(Context(url, house.token)) as client, pytest.raises(Rejected, match=r"labels\.txt', a link;"):
        push(client, packed)


def _hostile(kind: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo({"absolute": "/etc/x", "climbing": "r/../../x"}.get(kind, "r/x"))
    member.linkname = "/etc/hostname"
    member.type = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}.get(
        kind, tarfile.REGTYPE
    )
    return member


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("link", "'r/x', a link; put the file itself in its place"),
        ("hard link", "'r/x', a link; put the file itself in its place"),
        ("device", "'r/x', no plain file"),
        ("absolute", "'/etc/x', a name that leads out of it"),
        ("climbing", "'r/../../x', a name that leads out of it"),
    ],
)
def test_an_archive_that_holds_what_no_release_does_is_refused_whole(
    longshore: Run, house: SimControlPlane, folder: Path, tmp_path: Path, kind: str, said: str
) -> None:
    """Also when the manifest does not name it."""
    packed = tmp_path / "hostile.tar"
    with tarfile.open(packed, "w") as tar:
        tar.add(folder, arcname="r")
        tar.addfile(_hostile(kind))
    result = longshore("push", str(packed))
    assert (result.code, said in result.err, result.err.count("\n")) == (1, True, 1)
    assert house.registry.releases() == []


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.xz": lzma.compress,
    "tar.bz2": bz2.compress,
}


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("damage", ["cut in the middle", "cut near the end", "bytes changed"])
def test_a_damaged_archive_is_refused_in_one_sentence(
    longshore: Run, house: SimControlPlane, folder: Path, tmp_path: Path, suffix: str, damage: str
) -> None:
    packed = tmp_path / f"release.{suffix}"
    with tarfile.open(packed, "w") as tar:
        tar.add(folder, arcname="r")
    content = PACKED[suffix](packed.read_bytes())
    middle = len(content) // 2
    packed.write_bytes(
        {
            "cut in the middle": content[:middle],
            "cut near the end": content[: int(len(content) * 0.95)],
            "bytes changed": content[:middle]
            + bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
            + content[middle + 64 :],
        }[damage]
    )
    result = longshore("push", str(packed))
    assert (result.code, result.err.count("\n"), "a bug" in result.err) == (1, 1, False)
    assert house.registry.releases() == []


def test_a_file_that_is_longer_than_the_manifest_says_is_read_no_further(
    house: SimControlPlane, url: str, folder: Path
) -> None:
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(1 << 40)  # a hole of which the reading would take very long
    with Client(Context(url, house.token)) as client, pytest.raises(Rejected, match="was changed"):
        push(client, folder)
