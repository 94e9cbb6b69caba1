"""Camera sources: which are taken, and that their credentials never show."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.fleet import sources
from protos.errors import Rejected

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=20).map(
    lambda text: f"S3{text}"
)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://10.0.0.7/stream",
        "rtsp://10.0.0.7:8554/live?channel=1",
        "rtsps://cam.example/live",
        "rtsp://user:pass@cam/live",
        "rtsp://[fe80::1]:554/live",
        "file:///var/clips/quay.mp4",
        "device:///dev/video0",
        "synthetic://harbour?seed=1",
    ],
)
def test_good_sources_are_taken_as_they_are(source: str) -> None:
    assert sources.checked(source) == source


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        "",
        "http://cam/live",
        "cam/live",
        "rtsp:///live",
        "rtsp://:554/live",
        "rtsp://cam:99999/live",
        "rtsp://cam:port/live",
        "rtsp://user:p@ss@cam/live",
        "rtsp://user:12/34@cam/live",
        "rtsp://user:pass@cam/live#1",
        "rtsp://cam/li ve",
        "rtsp://cam/live\n",
        "rtsp://cam/" + "x" * 2048,
        "file://clip.mp4",
        "file:///",
        "device:dev/video0",
        "synthetic:///harbour",
        "synthetic://",
        "synthetic://u:p@harbour",
    ],
)
def test_sources_no_box_could_open_are_refused(source: object) -> None:
    with pytest.raises(Rejected, match=r"spec\.source"):
        sources.checked(source)


@given(SECRETS)
def test_a_refusal_holds_no_part_of_the_source(secret: str) -> None:
    for source in (
        f"rtsp://user:{secret}@",
        f"http://user:{secret}@cam/",
        f"rtsp://u:{secret}@cam:x/",
        f"/u:{secret}@cam/",
    ):
        with pytest.raises(Rejected) as caught:
            sources.checked(source)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("source", "offered"),
    [
        ("/srv/clip.mp4", "file:///srv/clip.mp4"),
        ("/home/ann/My quay.mp4", "file:///home/ann/My%20quay.mp4"),
        ("/srv/50%.mp4", "file:///srv/50%25.mp4"),
        ("/dev/video0", "device:///dev/video0"),
    ],
)
def test_a_path_is_offered_as_the_url_to_copy(source: str, offered: str) -> None:
    with pytest.raises(Rejected) as caught:
        sources.checked(source)
    assert str(caught.value) == f"spec.source is a path; write it as a URL: {offered}"
    assert sources.checked(offered) == offered


@pytest.mark.parametrize("source", ["./clip.mp4", "../clip.mp4", "~/clip.mp4", "clip.mp4", "clips/clip.mp4"])
def test_of_a_path_from_somewhere_the_absolute_one_is_asked_for(source: str) -> None:
    with pytest.raises(Rejected) as caught:
        sources.checked(source)
    assert "file:// and its absolute path on the box, such as file:///srv/clip.mp4" in str(caught.value)


@given(SECRETS, SECRETS)
def test_no_credentials_are_left_after_stripping(user: str, password: str) -> None:
    source = f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@cam.example:554/live"
    shown = sources.stripped(source)
    assert shown == "rtsp://***@cam.example:554/live"


def test_passwords_in_path_and_query_are_stripped_too() -> None:
    shown = sources.stripped("rtsp://cam:554/user=admin_password=hunter2&channel=1?pwd=hunter2&x=1")
    assert "hunter2" not in shown
    assert shown == "rtsp://cam:554/user=admin_password=***&channel=1?pwd=***&x=1"


@pytest.mark.parametrize("source", ["rtsp://cam/live", "file:///clip.mp4", "synthetic://harbour?seed=1"])
def test_a_source_without_credentials_is_shown_whole(source: str) -> None:
    assert sources.stripped(source) == source


def test_what_was_shown_can_be_written_back() -> None:
    stored = "rtsp://user:hunter2@cam/live"
    assert sources.merged(sources.stripped(stored), stored) == stored
    assert sources.merged("rtsp://***@cam/other?sub=1", stored) == "rtsp://user:hunter2@cam/other?sub=1"


def test_new_credentials_replace_the_stored_ones() -> None:
    assert sources.merged("rtsp://new:secret@cam/live", "rtsp://user:hunter2@cam/live") == "rtsp://new:secret@cam/live"
    assert sources.merged("rtsp://cam/live", "rtsp://user:hunter2@cam/live") == "rtsp://cam/live"


@pytest.mark.parametrize("moved", ["rtsp://***@evil/live", "rtsp://***@cam:5554/live", "rtsps://***@cam/live"])
def test_stored_credentials_never_go_to_another_place(moved: str) -> None:
    with pytest.raises(Rejected, match="another host"):
        sources.merged(moved, "rtsp://user:hunter2@cam/live")


@pytest.mark.parametrize("stored", [None, "rtsp://cam/live"])
def test_a_mask_that_stands_for_nothing_is_refused(stored: str | None) -> None:
    with pytest.raises(Rejected, match="not stored"):
        sources.merged("rtsp://***@cam/live", stored)


def test_a_masked_password_field_is_kept_only_when_nothing_else_changed() -> None:
    stored = "rtsp://cam/live?pwd=hunter2"
    assert sources.merged("rtsp://cam/live?pwd=***", stored) == stored
    with pytest.raises(Rejected, match="write them out"):
        sources.merged("rtsp://cam/other?pwd=***", stored)


@given(SECRETS.filter(lambda text: not set(text) & set("/?# @;&")), st.text(max_size=20))
def test_free_text_of_a_box_is_scrubbed(secret: str, around: str) -> None:
    text = f"{around} cannot open rtsp://admin:{secret}@cam/live: 401 Unauthorized"
    assert f":{secret}@" not in sources.scrubbed(text)
    assert "rtsp://***@cam/live: 401 Unauthorized" in sources.scrubbed(text)
