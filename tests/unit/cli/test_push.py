"""Pushing a release: whole, resumed, refused."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from controlplane.cli import pushing
from controlplane.cli.client import Client
from controlplane.cli.contexts import Context
from controlplane.cli.pushing import push
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
    assert "1.0.0" in result.err


def test_a_bare_onnx_is_refused_with_the_command_to_run(longshore: Run, tmp_path: Path) -> None:
    (tmp_path / "My Boats.onnx").write_bytes(b"\x08\x08")
    result = longshore("push", str(tmp_path / "My Boats.onnx"))
    assert result.code == 1
    assert "make a release of it first: longshore package" in result.err
    assert "--name my-boats --version 1.0.0" in result.err


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
    with Client(Context(url, house.token)) as client, pytest.raises(Rejected, match=r"holds no plain file labels\.txt"):
        push(client, packed)
