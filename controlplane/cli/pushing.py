"""Push a release: check it here, send the files the control plane lacks, then its manifest. No printing.

Order matters: first whether the version is taken, then files, each by its SHA-256, then the release that names them; a
push that ends half-way leaves nothing that anybody could deploy. Sending goes on where it broke, within one call and
between calls: the control plane says at which byte, also when an upload is gone or stands elsewhere than we thought.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controlplane.cli.client import Client, Document
from controlplane.cli.exits import Conflict, NotFound
from controlplane.cli.parcels import Parcel, Stream, opened
from protos import manifest
from protos.errors import Rejected, Retryable
from protos.ids import Digest, ModelName, Version, hex_of, release_name
from protos.manifest import FileEntry, Manifest

CHUNK = 2 << 20  # bytes of one PATCH: short enough to lose, long enough not to wait for answers
TRIES = 8  # without any progress: half a minute of a control plane that restarts
_PAUSE_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_MANIFEST_TYPE = "application/vnd.longshore.manifest+json"

Progress = Callable[[str, str, int, int], None]  # what is done, file, bytes done, bytes of it


@dataclass(frozen=True)
class Pushed:
    model: ModelName
    version: Version
    task: str
    digest: Digest
    size: int  # bytes of the manifest
    name: str
    new: bool  # False: the same release was there already
    sent_bytes: int

    @property
    def release(self) -> str:
        return f"{self.model}@{self.version}"


def push(
    client: Client,
    path: Path,
    progress: Progress = lambda *_: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pushed:
    """Push the release in folder or tar `path`; pushing it again changes nothing.

    Raises:
        Rejected: it is not whole, or other content is there under this version.
        Retryable: the control plane stayed away; call again to go on.
    """
    with opened(path) as parcel:
        content = parcel.manifest_bytes()
        release = manifest.parse(content)
        digest, sent = manifest.release_digest(content), 0
        stored = _stored(client, release)
        if stored in {"", digest}:
            for entry in release.files:
                _check(parcel, entry, progress)
        if not stored:
            sent = sum(_Sending(client, entry, progress, sleep).run(parcel) for entry in release.files)
    name, new = _made(client, content, sleep)
    about = (release.name, release.version, release.task, digest, len(content))
    return Pushed(*about, name, new=new, sent_bytes=sent)


def _stored(client: Client, release: Manifest) -> str:
    """The digest of what lies under this version already; "" for nothing. Asked before gigabytes are sent."""
    try:
        return str(client.one("releases", release_name(release.name, release.version))["spec"]["digest"])
    except NotFound:
        return ""


def _made(client: Client, content: bytes, sleep: Callable[[float], None]) -> tuple[str, bool]:
    """Name of the release of this manifest, and whether it is new; the control plane refuses other content."""
    pauses = iter(_PAUSE_SECONDS)
    while True:
        try:
            answer = client.call("POST", "/releases", content=content, headers={"Content-Type": _MANIFEST_TYPE})
        except Retryable:
            pause = next(pauses, None)
            if pause is None:
                raise
            sleep(pause)
        else:
            return str(answer.json()["metadata"]["name"]), answer.status_code == 201


def _check(parcel: Parcel, entry: FileEntry, progress: Progress) -> None:
    """Refuse here what the control plane would refuse after gigabytes. Reads no further than the file should go."""
    digest, size = hashlib.sha256(), 0
    with parcel.open(entry.path) as file:
        while size <= entry.size and (chunk := file.read(CHUNK)):
            digest.update(chunk)
            size += len(chunk)
            progress("checking", entry.path, min(size, entry.size), entry.size)
    if size != entry.size or digest.hexdigest() != hex_of(entry.digest):
        raise Rejected(f"{entry.path} was changed after the release was packaged; package it again")


class _Sending:
    """One file on its way; remembers what it sent."""

    def __init__(self, client: Client, entry: FileEntry, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._entry = entry
        self._progress = progress
        self._sleep = sleep
        self._sent = 0  # bytes, those sent twice included
        self._reached = 0  # the furthest that the control plane ever had

    def run(self, parcel: Parcel) -> int:
        """Send what is missing; the number of bytes that went out.

        Raises:
            Retryable: TRIES went by without getting any further.
        """
        failures = 0
        with parcel.open(self._entry.path) as file:
            while True:
                before = self._reached
                try:
                    self._send(file)
                except Retryable:
                    failures = failures + 1 if self._reached == before else 1
                    if failures >= TRIES:
                        raise
                    self._sleep(_PAUSE_SECONDS[failures - 1])
                else:
                    return self._sent

    def _send(self, file: Stream) -> None:
        """From where the control plane stands to the end. Raises Retryable when the wire breaks."""
        size = self._entry.size
        state = self._client.document("POST", "/uploads", json={"sha256": hex_of(self._entry.digest), "size": size})
        offset = int(state["offset"])
        while state["id"]:  # empty: the file is there already
            file.seek(offset)
            state = self._patch(state["id"], offset, file.read(CHUNK))
            offset = int(state["offset"])
            self._reached = max(self._reached, offset)
            self._progress("sending", self._entry.path, self._reached, size)
            if state["complete"]:
                return
        self._progress("sending", self._entry.path, size, size)

    def _patch(self, upload: str, offset: int, chunk: bytes) -> Document:
        """What the upload is after it got `chunk`.

        Raises:
            Retryable: it stands elsewhere or is gone, because somebody else pushes the same file or it was given up;
                asking for it again tells where to go on.
        """
        if not chunk and offset < self._entry.size:
            raise Rejected(f"{self._entry.path} was changed while it was pushed; package the release again")
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        try:
            state = self._client.document("PATCH", f"/uploads/{upload}", content=chunk, headers=headers)
        except (Conflict, NotFound) as error:
            raise Retryable(f"the upload of {self._entry.path} does not get on ({error}); push again") from error
        self._sent += len(chunk)
        return state
