"""What cameras need of the system: who may share a worker, and when one is started anew."""

from __future__ import annotations

import pytest

from agent.cameras.needs import Kind, Needs
from agent.cameras.placement import assign
from agent.cameras.spec import parse_source
from protos.ids import CameraName

A, B, C, D = (CameraName(name) for name in "abcd")
FILE, DRAWN = "file:///srv/a.mp4", "synthetic://harbour?seed=1"


def needs(*sources: str) -> Needs:
    return Needs.of(parse_source(source) for source in sources)


def test_drawn_cameras_and_files_need_nothing_of_the_system() -> None:
    assert needs(DRAWN) == Needs(Kind.DRAWN)
    assert needs(FILE, "file:///srv/b.mp4") == Needs(Kind.FILE)


def test_network_cameras_need_their_ports() -> None:
    found = needs("rtsp://u:p@one/x", "rtsp://two:8554/x", "rtsps://three/x")
    assert found == Needs(Kind.NETWORK, ports=frozenset({554, 8554, 322}))


@pytest.mark.parametrize("sources", [[DRAWN], [FILE], ["device:///dev/video1"], ["rtsp://one/x", "rtsp://two:9/x"]])
def test_a_worker_reads_from_its_arguments_what_was_written_there(sources: list[str]) -> None:
    assert Needs.parse(needs(*sources).words) == needs(*sources)


def test_no_secret_of_a_camera_is_among_its_workers_arguments() -> None:
    assert needs("rtsp://user:s3cret@host/path?token=t0ken").words == ["network", "554"]


def test_a_worker_does_for_fewer_ports_than_it_has_and_for_no_other_kind() -> None:
    both = needs("rtsp://one/x", "rtsp://two:8554/x")
    assert both.covers(needs("rtsp://one/x"))
    assert not needs("rtsp://one/x").covers(both)
    assert not both.covers(needs(FILE))
    assert not needs("device:///dev/video0").covers(needs("device:///dev/video1"))


def test_only_cameras_of_one_kind_share_a_worker() -> None:
    kinds = {A: Kind.FILE, B: Kind.NETWORK, C: Kind.FILE, D: Kind.NETWORK}
    placed = assign({}, [A, B, C, D], (), kinds=kinds)
    assert placed[A] == placed[C] != placed[B] == placed[D]


def test_a_camera_of_another_kind_finds_the_worker_of_its_kind() -> None:
    kinds = {A: Kind.FILE, B: Kind.NETWORK, C: Kind.NETWORK}
    assert assign({A: 0, B: 1}, [A, B, C], (), kinds=kinds) == {A: 0, B: 1, C: 1}
