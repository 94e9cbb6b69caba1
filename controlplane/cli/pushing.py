"""Push a release: check it here, send the files the control plane lacks, then its manifest. No printing.

Order matters: files first, each by its SHA-256, then the release that names them; a push that ends half-way leaves
nothing that anybody could deploy. Sending goes on where it broke, within one call and between calls: the control plane
says at which byte.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controlplane.cli.client import Client
from controlplane.cli.parcels import Parcel, opened
from protos import manifest
from protos.errors import Rejected, Retryable
from protos.ids import hex_of
from protos.manifest import FileEntry

CHUNK = 2 << 20  # bytes of one PATCH: short enough to lose, long enough not to wait for answers
TRIES = 8  # without any progress: half a minute of a control plane that restarts
_PAUSE_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_MANIFEST_TYPE = "application/vnd.longshore.manifest+json"

Progress = Callable[[str, str, int, int], None]  # what is done, file, bytes done, bytes of it


@dataclass(frozen=True)
class Pushed:
    model: str
    version: str
    digest: str
    name: str
    new: bool  # False: the same release was there already
    sent_bytes: int


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
        for entry in release.files:
            _check(parcel, entry, progress)
        sent = sum(_Sending(client, entry, progress, sleep).run(parcel) for entry in release.files)
    answer = client.call("POST", "/releases", content=content, headers={"Content-Type": _MANIFEST_TYPE})
    return Pushed(
        model=release.name,
        version=release.version,
        digest=manifest.release_digest(content),
        name=answer.json()["metadata"]["name"],
        new=answer.status_code == 201,
        sent_bytes=sent,
    )


def _check(parcel: Parcel, entry: FileEntry, progress: Progress) -> None:
    """Refuse here what the control plane would refuse after gigabytes."""
    digest, size = hashlib.sha256(), 0
    with parcel.open(entry.path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            progress("checking", entry.path, size, entry.size)
    if size != entry.size or digest.hexdigest() != hex_of(entry.digest):
        raise Rejected(f"{entry.path} was changed after the release was packaged; package it again")


class _Sending:
    """One file on its way; remembers what it sent."""

    def __init__(self, client: Client, entry: FileEntry, progress: Progress, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._entry = entry
        self._progress = progress
        self._sleep = sleep
        self._sent = 0

    def run(self, parcel: Parcel) -> int:
        """Send what is missing; the number of bytes that went out."""
        failures = 0
        with parcel.open(self._entry.path) as file:
            while True:
                before = self._sent
                try:
                    self._send(file)
                except Retryable:
                    failures = failures + 1 if self._sent == before else 1
                    if failures >= TRIES:
                        raise
                    self._sleep(_PAUSE_SECONDS[failures - 1])
                else:
                    return self._sent

    def _send(self, file: IO[bytes]) -> None:
        """From where the control plane stands to the end. Raises Retryable when the wire breaks."""
        size = self._entry.size
        state = self._client.document("POST", "/uploads", json={"sha256": hex_of(self._entry.digest), "size": size})
        offset = int(state["offset"])
        while state["id"]:  # empty: the file is there already
            file.seek(offset)
            chunk = file.read(CHUNK)
            headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            state = self._client.document("PATCH", f"/uploads/{state['id']}", content=chunk, headers=headers)
            offset = int(state["offset"])
            self._sent += len(chunk)
            self._progress("sending", self._entry.path, offset, size)
            if state["complete"]:
                return
        self._progress("sending", self._entry.path, size, size)
