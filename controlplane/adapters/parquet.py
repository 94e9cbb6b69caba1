"""Parquet by arro3 (Arrow and Parquet of Rust): pages of rows make row groups, and each goes out once it is whole.

The writer wants a file and writes when it likes, so it runs in a thread of its own, into a queue that holds few pieces:
memory is bounded by a row group however long the file. Who stops reading ends it: the next page is then its last.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import arro3.io
from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema

from controlplane.history.exporting import Column, Holds

PIECE = 256 << 10  # bytes that go out at once
AT_ONCE = 8  # pieces that wait for who reads
ROW_GROUP = 20_000  # rows
_COMPRESSION = "zstd(3)"
_TYPES: Mapping[Holds, Callable[[], DataType]] = {
    Holds.TEXT: DataType.utf8,
    Holds.INTEGER: DataType.int64,
    Holds.NUMBER: DataType.float64,
    Holds.FLAG: DataType.bool,
    Holds.MOMENT: lambda: DataType.timestamp("ms", tz="UTC"),
}


def as_parquet(pages: Iterable[Sequence[Mapping[str, Any]]], shown: Sequence[Column]) -> Iterator[bytes]:
    """Raises what reading a page raises; what came before it is no whole file then, and no reader takes it for one."""
    pipe = _Pipe()
    writer = threading.Thread(target=_write, args=(pages, shown, pipe), name="parquet", daemon=True)
    writer.start()
    try:
        yield from pipe.pieces()
    finally:
        pipe.abandon()
        writer.join()


class _Pipe:
    """What the writer takes for a file."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue(AT_ONCE)
        self._open = bytearray()
        self.abandoned = threading.Event()
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:  # the end of a file that is not whole
            self._open += data
        if len(self._open) >= PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._open:
            self._put(bytes(self._open))
            self._open = bytearray()

    def seek(self, *_: int) -> int:
        """Looked for by arro3, never called: what is written stays."""
        raise io.UnsupportedOperation("a pipe has no place")

    def end(self) -> None:
        self._put(None)

    def pieces(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            yield piece
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Nobody reads on."""
        self.abandoned.set()
        while not self._pieces.empty():
            self._pieces.get_nowait()

    def _put(self, piece: bytes | None) -> None:
        """An error here would be a panic in Rust: what nobody reads is thrown away."""
        while not self.abandoned.is_set():
            try:
                self._pieces.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return


def _write(pages: Iterable[Sequence[Mapping[str, Any]]], shown: Sequence[Column], pipe: _Pipe) -> None:
    schema = Schema([Field(column.name, _TYPES[column.holds](), nullable=True) for column in shown])

    def batches() -> Iterator[RecordBatch]:
        try:
            for page in pages:
                if pipe.abandoned.is_set():
                    return
                yield RecordBatch.from_arrays([_array(page, column) for column in shown], schema=schema)
        except BaseException as error:  # noqa: BLE001 - raised again by who reads, and not in Rust
            pipe.error = error

    try:
        reader = RecordBatchReader.from_batches(schema, batches())
        arro3.io.write_parquet(reader, pipe, compression=_COMPRESSION, max_row_group_size=ROW_GROUP)  # type: ignore[arg-type]  # a file for all it needs
        if pipe.error is None:
            pipe.flush()
    except BaseException as error:  # noqa: BLE001 - the root of this thread
        pipe.error = pipe.error or error
    finally:
        pipe.end()


def _array(page: Sequence[Mapping[str, Any]], column: Column) -> Any:
    told = [column.value(row) for row in page]
    if column.holds is Holds.MOMENT:
        return Array(told, type=DataType.int64()).cast(_TYPES[column.holds]())
    if column.holds is Holds.NUMBER:
        told = [None if each is None else float(each) for each in told]
    return Array(told, type=_TYPES[column.holds]())
