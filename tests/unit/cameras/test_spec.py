"""Camera specs: what is accepted, what is refused with which sentence, and that no sentence repeats a secret."""

from __future__ import annotations

import pytest

from agent.cameras.spec import Device, File, Rtsp, Synthetic, parse, parse_source
from protos.errors import Rejected

SECRET = "s3cr3t-pass"


def test_every_kind_of_source_is_understood() -> None:
    assert isinstance(parse_source(f"rtsp://admin:{SECRET}@10.0.0.9:554/a?b=1"), Rtsp)
    assert parse_source("file:///srv/a.mp4") == File("/srv/a.mp4")
    assert parse_source("file:///srv/quay%20wall%231.mp4") == File("/srv/quay wall#1.mp4")
    assert parse_source("device:///dev/video0?size=640x360&rate=30") == Device("/dev/video0", (640, 360), 30.0)
    assert parse_source("synthetic://harbour?seed=7&width=320&height=180&epoch=1.5") == Synthetic(
        "harbour", 7, 320, 180, 1.5
    )
    assert parse_source("synthetic://harbour") == Synthetic("harbour")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("", "start with"),
        ("http://host/stream", "start with"),
        ("rtsp:///stream", "host"),
        ("rtsp://host:banana/", "URL"),
        ("rtsp://host/a#b", "%23"),
        ("rtsp://host/a b", "spaces"),
        ("rtsp://host/a\nb", "spaces"),
        ("rtsp://" + "a" * 3000, "2048"),
        ("file://clip.mp4", "absolute path"),
        ("file:///", "absolute path"),
        ("file:///srv/a.mp4?b=1", "%3F"),
        ("file:///srv/a.mp4#b", "%23"),
        ("file:///srv/a%00.mp4", "printed"),
        ("device:///etc/passwd", "/dev"),
        ("device:///dev/video0?size=big", "640x360"),
        ("device:///dev/video0?rate=0", "rate"),
        ("synthetic://city", "harbour"),
        ("synthetic://harbour?seed=-1", "seed"),
        ("synthetic://harbour?width=63", "width"),
        ("synthetic://harbour?epoch=nan", "epoch"),
        ("synthetic://harbour?colour=red", "colour"),
    ],
)
def test_a_bad_source_is_refused_with_its_reason(source: str, word: str) -> None:
    with pytest.raises(Rejected, match=word) as caught:
        parse_source(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [0.0, -1.0, 60.1, float("nan"), float("inf")])
def test_a_rate_outside_its_bounds_is_refused(rate: float) -> None:
    with pytest.raises(Rejected, match="60"):
        parse("quay", "synthetic://harbour", rate)


def test_a_name_that_breaks_the_rule_is_refused() -> None:
    with pytest.raises(Rejected, match="camera name"):
        parse("../quay", "synthetic://harbour", 10)


@pytest.mark.parametrize(
    "source",
    [
        f"rtsp://admin:{SECRET}@/stream",
        f"rtsp://admin:{SECRET}@host:port/stream",
        f"http://admin:{SECRET}@host/",
        f"rtsp://admin:{SECRET}@host/a#b",
        f"rtsp://admin:{SECRET} @host/",
    ],
)
def test_no_refusal_repeats_credentials(source: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse("quay", source, 10)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_parsed_source_does_not_print_its_url() -> None:
    assert SECRET not in repr(parse("quay", f"rtsp://admin:{SECRET}@host/a", 10))


def test_the_time_of_a_scene_follows_from_the_capture_time_alone() -> None:
    assert Synthetic("harbour", epoch=100.0).scene_time(101_500_000_000) == 1.5
