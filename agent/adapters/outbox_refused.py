"""Counts of records that could not be written, in a small file of their own beside the outbox.

The outbox is full, or its disk fails: what it refuses then can't be counted in it. This file is written full length
once, so its one block is there on a full disk too, and writing it again is one write into the page cache, which
outlives a kill -9. It is no mapping: a store into a mapped page of a disk that fails or became read-only ends the
process, and cameras would go dark; a write comes back with an error, and the counts stay in memory for the next try.

Counts only ever grow; the outbox says, in the transaction that declares them, how many of them were declared. So a kill
between the two files neither loses nor doubles any. A file that can't be read (a power cut) counts on from what was
declared.
"""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from agent.telemetry.classes import RecordClass
from agent.telemetry.records import MAX_SEQ

BYTES = 4096
_HEAD = 8  # bytes: checksum, length
MOST_REASON = 120  # characters

_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]

log = logging.getLogger(__name__)


class Loss(NamedTuple):
    """Why records of a class were not kept."""

    record_class: RecordClass
    reason: str
    lower_bound: bool = False  # at least so many


class Doubt(msgspec.Struct, frozen=True):
    """A transaction whose commit failed: it is in the outbox if this start gave out `accepted` numbers there."""

    start: str
    accepted: _Number
    records: dict[int, _Number]  # by class number


class Content(msgspec.Struct):
    """By class number."""

    refused: dict[int, _Number] = {}  # ever
    declared: dict[int, _Number] = {}  # of these, as far as it is known here; the outbox knows better
    reasons: dict[int, str] = {}
    doubt: Doubt | None = None


class RefusedFile:
    """What earlier starts left is read when it is made. No call raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._written = b""
        self.content = Content()
        self._open()
        self._earlier = dict(self.content.refused)  # by earlier starts

    def undeclared(self, declared: Mapping[RecordClass, int], accepted: Mapping[str, int]) -> dict[RecordClass, int]:
        """Records that earlier starts refused and nobody declared. To be asked once, by the outbox that says `declared`
        and in which starts gave out so many numbers."""
        self._leave_doubt(accepted)
        found = {}
        for each in RecordClass:
            known = self.content.declared[each] = max(declared.get(each, 0), self.content.declared.get(each, 0))
            earlier = max(self._earlier.get(each, 0), known)
            here = self.content.refused.get(each, 0) - self._earlier.get(each, 0)
            self.content.refused[each] = earlier + here
            found[each] = earlier - known
        return {each: count for each, count in found.items() if count}

    def reason(self, record_class: RecordClass) -> str:
        """Why the last of the class was refused."""
        return self.content.reasons.get(record_class, "the outbox could not be written")

    def add(self, refused: Mapping[Loss, int]) -> None:
        for loss, count in refused.items():
            number = int(loss.record_class)
            self.content.refused[number] = self.content.refused.get(number, 0) + count
            self.content.reasons[number] = loss.reason[:MOST_REASON]
        self.write()

    def doubt(self, doubt: Doubt) -> None:
        self.content.doubt = doubt
        self.write()

    def certain(self, refused: Mapping[Loss, int]) -> None:
        """The doubt is over: these of its records are not in the outbox."""
        self.content.doubt = None
        self.add(refused)

    def declared(self, declared: Mapping[RecordClass, int]) -> None:
        """As the outbox has it."""
        known = {int(each): count for each, count in declared.items()}
        if known != self.content.declared:
            self.content.declared = known
            self.write()

    def write(self) -> None:
        """Again as well, where an earlier try failed."""
        image = _image(self.content)
        if image == self._written:
            return
        try:
            if self._descriptor < 0:
                self._make()
            os.pwrite(self._descriptor, image, 0)
            self._written = image
        except OSError as error:
            log.debug("%s can't be written: %s", self._path, error)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _leave_doubt(self, accepted: Mapping[str, int]) -> None:
        doubt, self.content.doubt = self.content.doubt, None
        if doubt is not None and accepted.get(doubt.start, 0) < doubt.accepted:
            for counts in (self.content.refused, self._earlier):
                counts.update({number: counts.get(number, 0) + count for number, count in doubt.records.items()})

    def _open(self) -> None:
        try:
            self._make()
            self._written = os.pread(self._descriptor, BYTES, 0)
        except OSError as error:
            log.debug("%s can't be opened: %s", self._path, error)
            return
        self.content = _content(self._written)

    def _make(self) -> None:
        """Full length, and on the disk: it will be written when the disk has no room."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < BYTES:
                os.pwrite(descriptor, _image(Content()), 0)
                os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor


def _image(content: Content) -> bytes:
    body = msgspec.msgpack.encode(content)
    head = zlib.crc32(body).to_bytes(4, "big") + len(body).to_bytes(4, "big")
    return (head + body).ljust(BYTES, b"\0")


def _content(image: bytes) -> Content:
    """Empty where it can't be read."""
    body = image[_HEAD : _HEAD + int.from_bytes(image[4:_HEAD], "big")]
    if zlib.crc32(body).to_bytes(4, "big") != image[:4]:
        return Content()
    try:
        return msgspec.msgpack.decode(body, type=Content)
    except (msgspec.MsgspecError, ValueError):
        return Content()
