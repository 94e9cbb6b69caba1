"""The registry over HTTP: resumable uploads, files by range, releases as objects."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from controlplane.registry import chunking
from controlplane.registry.grants import Grants
from controlplane.web import MAX_BODY
from protos import chunks as tables
from protos.errors import Retryable
from protos.ids import NodeId, digest_of, hex_of
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane

CONTENT = releases.content("a file", 300_000)
HEX = hex_of(digest_of(CONTENT))


def begin(plane: SimControlPlane, content: bytes = CONTENT) -> dict[str, Any]:
    body = {"sha256": hex_of(digest_of(content)), "size": len(content)}
    answer = plane.client.post("/api/v1/uploads", json=body)
    assert answer.status_code == 201
    return dict(answer.json())


def send(plane: SimControlPlane, upload: dict[str, Any], offset: int, content: Any) -> Any:
    headers = {"Upload-Offset": str(offset)}
    return plane.client.patch(f"/api/v1/uploads/{upload['id']}", content=content, headers=headers)


def message(answer: Any) -> str:
    return str(answer.json()["error"]["message"])


def test_a_file_sent_in_pieces_is_readable_when_the_last_one_came(plane: SimControlPlane) -> None:
    upload = begin(plane)
    half = send(plane, upload, 0, CONTENT[:100_000]).json()
    assert (half["offset"], half["complete"]) == (100_000, False)
    assert plane.client.head(f"/api/v1/blobs/{HEX}").status_code == 404
    assert send(plane, upload, 100_000, CONTENT[100_000:]).json()["complete"]
    assert plane.client.get(f"/api/v1/blobs/{HEX}").content == CONTENT


def test_a_push_that_was_cut_off_goes_on_where_it_stood(plane: SimControlPlane) -> None:
    async def cut_off() -> AsyncIterator[bytes]:
        yield CONTENT[:70_000]
        raise ClientDisconnect  # what the server's end of a broken connection sees

    upload = begin(plane)
    send(plane, upload, 0, cut_off())
    again = begin(plane)
    assert (again["id"], again["offset"]) == (upload["id"], 70_000)
    assert send(plane, again, 70_000, CONTENT[70_000:]).json()["complete"]


def test_bytes_for_another_place_than_the_end_are_refused(plane: SimControlPlane) -> None:
    upload = begin(plane)
    send(plane, upload, 0, CONTENT[:10])
    answer = send(plane, upload, 5, CONTENT[5:])
    assert answer.status_code == 409
    assert "stands at 10 of 300000 bytes" in message(answer)
    head = plane.client.head(f"/api/v1/uploads/{upload['id']}")
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("10", "300000")


def test_a_disk_that_is_full_at_the_last_byte_costs_no_upload(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Retryable("the control plane's disk is full; free space there, then push again")

    upload = begin(plane)
    with monkeypatch.context() as disk:
        disk.setattr("controlplane.adapters.blob_memory._Part.commit", full)
        assert send(plane, upload, 0, CONTENT).status_code == 503
    again = begin(plane)
    assert (again["id"], again["offset"]) == (upload["id"], len(CONTENT))
    assert send(plane, again, len(CONTENT), b"").json()["complete"]
    assert plane.client.get(f"/api/v1/blobs/{HEX}").content == CONTENT


def test_content_with_another_hash_is_thrown_away(plane: SimControlPlane) -> None:
    upload = begin(plane)
    answer = send(plane, upload, 0, bytes(len(CONTENT)))
    assert answer.status_code == 422
    assert "not those of sha256:" in message(answer)
    assert plane.client.head(f"/api/v1/uploads/{upload['id']}").status_code == 404
    assert begin(plane)["offset"] == 0


def test_more_than_was_announced_is_refused(plane: SimControlPlane) -> None:
    answer = send(plane, begin(plane), 0, CONTENT + b"!")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")


def test_a_file_that_is_here_needs_no_upload(plane: SimControlPlane) -> None:
    plane.upload(CONTENT)
    upload = begin(plane)
    assert upload["complete"]
    assert upload["offset"] == len(CONTENT)


def test_the_cap_stands_in_the_refusal(plane: SimControlPlane) -> None:
    answer = plane.client.post("/api/v1/uploads", json={"sha256": HEX, "size": 1 << 50})
    assert answer.status_code == 413
    assert str(plane.config.max_file_bytes) in message(answer)


@pytest.mark.parametrize("body", [{"sha256": "zz", "size": 1}, {"sha256": HEX, "size": -1}, {"sha256": HEX}, {}])
def test_an_upload_announced_wrongly_is_refused(plane: SimControlPlane, body: dict[str, Any]) -> None:
    assert plane.client.post("/api/v1/uploads", json=body).status_code == 422


def test_a_range_continues_a_broken_download(plane: SimControlPlane) -> None:
    plane.upload(CONTENT)
    answer = plane.client.get(f"/api/v1/blobs/{HEX}", headers={"Range": "bytes=299990-"})
    assert (answer.status_code, answer.content) == (206, CONTENT[299_990:])
    assert answer.headers["content-range"] == "bytes 299990-299999/300000"
    beyond = plane.client.get(f"/api/v1/blobs/{HEX}", headers={"Range": "bytes=300000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */300000")


def chunks(plane: SimControlPlane, sha256: str = HEX) -> Any:
    return plane.client.get(f"/api/v1/blobs/{sha256}/chunks")


def test_a_file_has_a_table_of_its_chunks(plane: SimControlPlane) -> None:
    plane.upload(CONTENT)
    table = tables.parse(chunks(plane).content, len(CONTENT))
    assert [chunk.sha256 for chunk in table] == [
        hashlib.sha256(CONTENT[chunk.start : chunk.stop]).digest() for chunk in table
    ]


def test_a_table_is_made_once_and_again_where_an_older_version_made_it(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.upload(CONTENT)
    first = chunks(plane).content
    made: list[bytes] = []
    real = chunking.table

    def counted(blocks: Iterable[bytes]) -> bytes:
        made.append(real(blocks))
        return made[-1]

    monkeypatch.setattr(chunking, "table", counted)
    assert (chunks(plane).content, made) == (first, [])
    plane.services.blobs.keep_table(digest_of(CONTENT), b"LSC0 of an older version")
    assert chunks(plane).content == chunks(plane).content == first
    assert made == [first]


def test_no_small_file_and_no_unknown_one_has_a_table(plane: SimControlPlane) -> None:
    small = CONTENT[: tables.SMALLEST_FILE - 1]
    plane.upload(small)
    assert chunks(plane, hex_of(digest_of(small))).status_code == 404
    assert chunks(plane).status_code == 404
    assert chunks(plane, "zz").status_code == 422


def test_who_asks_while_another_file_is_cut_is_told_to_come_back(
    plane: SimControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile: list[Any] = []

    def slow(blocks: object) -> bytes:
        with pytest.raises(Retryable) as told:
            plane.services.chunks.table(digest_of(CONTENT))
        meanwhile.append(told.value)
        return b""

    plane.upload(CONTENT)
    with monkeypatch.context() as cutting:
        cutting.setattr(chunking, "table", slow)
        chunks(plane)
    assert [error.after_seconds for error in meanwhile] == [2.0]
    assert chunks(plane).status_code == 200


def test_a_box_has_tables_with_its_grant_and_a_stranger_has_none(plane: SimControlPlane, clock: FakeClock) -> None:
    plane.upload(CONTENT)
    headers = {"Authorization": f"Bearer {plane.services.grants.give(NodeId('quay-1'), 1 << 50)}"}
    assert plane.stranger.get(f"/api/v1/blobs/{HEX}/chunks", headers=headers).status_code == 200
    assert plane.stranger.get(f"/api/v1/blobs/{HEX}/chunks").status_code == 401


def test_a_box_fetches_files_with_its_grant_and_nothing_else(plane: SimControlPlane, clock: FakeClock) -> None:
    plane.upload(CONTENT)
    expires = int(clock.unix() * 1000) + 1000
    headers = {"Authorization": f"Bearer {plane.services.grants.give(NodeId('quay-1'), expires)}"}
    assert plane.stranger.get(f"/api/v1/blobs/{HEX}", headers=headers).content == CONTENT
    assert plane.stranger.get("/api/v1/releases", headers=headers).status_code == 401
    clock.tick(2)
    expired = plane.stranger.get(f"/api/v1/blobs/{HEX}", headers=headers)
    assert expired.status_code == 401
    assert "next Sync" in message(expired)


def test_nobody_fetches_files_without_a_name(plane: SimControlPlane) -> None:
    plane.upload(CONTENT)
    forged = {"Authorization": f"Bearer {Grants(b'x' * 32).give(NodeId('quay-1'), 1 << 50)}"}
    assert plane.stranger.get(f"/api/v1/blobs/{HEX}").status_code == 401
    assert plane.stranger.get(f"/api/v1/blobs/{HEX}", headers=forged).status_code == 401
    assert plane.stranger.post("/api/v1/uploads", json={}).status_code == 401


@pytest.mark.parametrize("path", ["../../etc/passwd", "zz", HEX.upper(), HEX[:-1]])
def test_a_name_that_is_no_digest_finds_nothing(plane: SimControlPlane, path: str) -> None:
    assert plane.client.get(f"/api/v1/blobs/{path}").status_code in (404, 422)


def push(plane: SimControlPlane, made: releases.MadeRelease) -> Any:
    for content in made.blobs.values():
        plane.upload(content)
    return plane.client.post("/api/v1/releases", content=made.manifest)


def test_a_release_is_made_once_and_then_found(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    first, again = push(plane, made), push(plane, made)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == plane.client.get("/api/v1/releases/harbour-1-0-0").json()
    assert first.json()["spec"]["digest"] == made.digest
    assert first.json()["metadata"]["name"] == "harbour-1-0-0"


def test_other_content_under_the_same_version_is_a_conflict(plane: SimControlPlane) -> None:
    push(plane, releases.make("1.0.0"))
    answer = push(plane, releases.make("1.0.0", size=10))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_lists_take_selectors_and_limits(plane: SimControlPlane) -> None:
    push(plane, releases.make("1.0.0"))
    push(plane, releases.make("2.0.0"))

    def listed(query: str) -> int:
        return len(plane.client.get(f"/api/v1/releases?{query}").json()["items"])

    assert [listed(query) for query in ("", "limit=1", "labelSelector=site%3Dx", "labelSelector=!site")] == [2, 1, 0, 2]


def test_a_model_shows_its_releases(plane: SimControlPlane) -> None:
    push(plane, releases.make("1.0.0"))
    push(plane, releases.make("2.0.0"))
    assert plane.client.get("/api/v1/models/harbour").json()["status"]["releases"] == ["1.0.0", "2.0.0"]
    assert [item["metadata"]["name"] for item in plane.client.get("/api/v1/models").json()["items"]] == ["harbour"]


def test_the_manifest_comes_back_byte_for_byte(plane: SimControlPlane) -> None:
    made = releases.make("1.0.0")
    push(plane, made)
    assert plane.client.get("/api/v1/releases/harbour-1-0-0/manifest").content == made.manifest


def test_releases_and_models_are_deleted_by_name(plane: SimControlPlane) -> None:
    push(plane, releases.make("1.0.0"))
    assert plane.client.delete("/api/v1/models/harbour").status_code == 409
    assert plane.client.delete("/api/v1/releases/harbour-1-0-0").status_code == 204
    assert plane.client.delete("/api/v1/releases/harbour-1-0-0").status_code == 404
    assert plane.client.delete("/api/v1/models/harbour").status_code == 204


def test_a_body_beyond_the_bound_is_refused_while_it_comes(plane: SimControlPlane) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(2 * MAX_BODY // 65_536):
            yield bytes(65_536)

    answer = plane.client.post("/api/v1/releases", content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")
    big = json.dumps({"name": "x" * MAX_BODY})
    assert plane.client.post("/api/v1/apitokens", content=big).status_code == 413
