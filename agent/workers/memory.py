"""Shared memory without names: a memfd cut into equal slots.

The kernel frees it when the last descriptor and mapping are gone, whoever was killed how. Descriptors travel over the
worker's channel. Who may write a slot is agreed between the two sides; nothing here locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os

from protos.errors import Retryable

PAGE = mmap.PAGESIZE
SPARE = 64 << 20  # bytes of address space: a worker without so much cannot go on for long, whatever it does
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealable() -> int:
    """A descriptor of empty memory, to be filled by `seal`."""
    return os.memfd_create("longshore-sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def seal(fd: int, content: bytes) -> None:
    """Copy `content` in, so that nobody can change it any more. Raises OSError when memory runs out."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)


def read(fd: int) -> bytes:
    """All that lies behind `fd`, which is closed."""
    try:
        size = os.fstat(fd).st_size
        if not size:
            return b""
        # Private, since kernels before 6.7 refuse to share write-sealed memory; and not `read`, since the offset is
        # one with the agent's descriptor, which stays open for the next start.
        with mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as content:
            return content[:]
    finally:
        os.close(fd)


def sealed(content: bytes) -> int:
    """A descriptor of `content` that nobody can change, the caller's to close. Raises Retryable."""
    try:
        fd = sealable()
        try:
            seal(fd, content)
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise Retryable(f"the box has no memory for a model of {len(content)} bytes: {error.strerror}") from error
    return fd


def holds(fd: int, slots: int, nbytes: int) -> bool:
    """Is there memory for so many slots behind `fd`? Who maps more is killed by his first look at it."""
    return slots > 0 and os.fstat(fd).st_size >= slots * _stride(nbytes)


def _stride(nbytes: int) -> int:
    return -(-nbytes // PAGE) * PAGE


def spent() -> bool:
    """Has this process come to the end of the memory it may have? What leaked comes back with its end alone."""
    try:
        mmap.mmap(-1, SPARE).close()  # nothing of it is touched
    except OSError:
        return True
    return False


class SharedSlots:
    """`slots` regions of `nbytes` bytes each, page-aligned."""

    def __init__(self, fd: int, slots: int, nbytes: int) -> None:
        self.fd = fd
        self.slots = slots
        self.nbytes = nbytes
        self._stride = _stride(nbytes)
        self._map = mmap.mmap(fd, self._stride * slots)
        self._view = memoryview(self._map)

    @classmethod
    def create(cls, slots: int, nbytes: int) -> SharedSlots:
        """Fresh zeroed memory; pages count against the box only once they are touched.

        Raises:
            OSError: there is none to be had.
        """
        fd = os.memfd_create("longshore", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, _stride(nbytes) * slots)
            return cls(fd, slots, nbytes)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int, slots: int, nbytes: int) -> SharedSlots:
        """Map memory made elsewhere; takes ownership of `fd`.

        Raises:
            ValueError: the memory behind `fd` is smaller than agreed.
        """
        return cls(fd, slots, nbytes)

    def view(self, slot: int) -> memoryview:
        """The bytes of one slot, writable, no copy. Release views before `close`. Raises IndexError."""
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot {slot} of {self.slots}")
        start = slot * self._stride
        return self._view[start : start + self.nbytes]

    def close(self) -> None:
        """Unmap and close; safe to call twice. Views still held keep the mapping alive until they go."""
        if self.fd < 0:
            return
        self._view.release()
        # A numpy view may still look at it; the mapping then goes with the last of them.
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self.fd)
        self.fd = -1
