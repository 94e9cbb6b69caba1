"""System shared memory: regions that callers on this box registered, and what of them a request uses.

A region is a part of a file in /dev/shm, held open by descriptor; nothing here maps or reads it (agent.inference.places
says why). It belongs to the user who registered it, who must own the file or find it open to everybody; nobody else
uses or unregisters it, but root. Bounds are checked when it is registered and when it is used, and the file's size once
more by the worker. A region that is unregistered stays open until the last request that uses it has ended.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from agent.ports import Place, Tensor
from agent.serving.callers import Caller, Kernel
from agent.serving.errors import BadRequest, Conflict, Forbidden, UnknownRegion

MAX_REGIONS = 64  # each holds a descriptor, and memory whose owner may be gone
MAX_NAME = 255
FOLDER = Path("/dev/shm")  # noqa: S108 - it is where shared memory has its names
ROOT = 0
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC  # so a pipe does not block either


@dataclass(frozen=True)
class RegionPart:
    """Where a request says that a tensor lies."""

    region: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class RegionStatus:
    """A region as it was registered."""

    name: str
    key: str
    offset: int
    byte_size: int


@dataclass
class _Region:
    status: RegionStatus
    user: int
    fd: int
    uses: int = 0
    registered: bool = True

    def close_if_done(self) -> None:
        if not self.registered and not self.uses:
            os.close(self.fd)


def may_use(mode: int, owner: int, user: int) -> bool:
    """Would `user` be let read and write a file of this mode and owner? His groups are not known. Pure."""
    if user == ROOT:
        return True
    wanted = stat.S_IRUSR | stat.S_IWUSR if user == owner else stat.S_IROTH | stat.S_IWOTH
    return mode & wanted == wanted


class Regions:
    """All regions of a node, by name. Lives on the event loop."""

    def __init__(self, folder: Path = FOLDER, user: Callable[[Caller], int | None] | None = None) -> None:
        """`user`: whose a connection is, if not asked of the kernel."""
        self._folder = folder
        self._kernel = Kernel()
        self._user = user or self._kernel.user_of
        self._regions: dict[str, _Region] = {}

    def register(self, status: RegionStatus, caller: Caller | None) -> None:
        """Raises BadRequest, Conflict, Forbidden."""
        user = self._user_of(caller)
        if not 0 < len(status.name) <= MAX_NAME:
            raise BadRequest(f"the name of a region must have 1 to {MAX_NAME} characters")
        if status.name in self._regions:
            raise Conflict(f"region {status.name!r} is registered; unregister it first, or choose another name")
        if len(self._regions) >= MAX_REGIONS:
            raise Conflict(f"{MAX_REGIONS} regions are registered, which is all there can be; unregister some")
        fd = self._open(status.key)
        try:
            _check_file(os.fstat(fd), status, user)
        except BaseException:
            os.close(fd)
            raise
        self._regions[status.name] = _Region(status, user, fd)

    def unregister(self, name: str, caller: Caller | None) -> None:
        """The region of that name, or with "" all of the caller's. Raises UnknownRegion, Forbidden."""
        user = self._user_of(caller)
        if name:
            self._drop(self._find(name, user))
            return
        for region in list(self._regions.values()):
            if user in (region.user, ROOT):
                self._drop(region)

    def status(self, name: str, caller: Caller | None) -> list[RegionStatus]:
        """The region of that name, or with "" all of the caller's. Raises UnknownRegion, Forbidden."""
        user = self._user_of(caller)
        if name:
            return [self._find(name, user).status]
        return [region.status for region in self._regions.values() if user in (region.user, ROOT)]

    @contextlib.contextmanager
    def lent(
        self,
        inputs: Sequence[Tensor],
        shared: Mapping[str, RegionPart],
        into: Mapping[str, RegionPart],
        caller: Caller | None,
    ) -> Iterator[tuple[list[Tensor], dict[str, Place]]]:
        """The inputs with their places, and the places of outputs, until the end. Raises as `status`, or BadRequest."""
        user = self._user_of(caller)
        regions = {part.region: self._find(part.region, user) for part in (*shared.values(), *into.values())}
        given = {name: _place(regions[part.region], part, f"input {name!r}") for name, part in shared.items()}
        wanted = {name: _place(regions[part.region], part, f"output {name!r}") for name, part in into.items()}
        for region in regions.values():
            region.uses += 1
        try:
            yield [structs.replace(tensor, place=given.get(tensor.name)) for tensor in inputs], wanted
        finally:
            for region in regions.values():
                region.uses -= 1
                region.close_if_done()

    def close(self) -> None:
        for region in list(self._regions.values()):
            self._drop(region)
        self._kernel.close()

    def _user_of(self, caller: Caller | None) -> int:
        if caller is None or not caller.on_this_box:
            raise Forbidden(
                "shared memory is for callers on this box, over 127.0.0.1 or ::1; send tensors in the request"
            )
        user = self._user(caller)
        if user is None:
            raise Forbidden("this box's kernel does not say whose connection this is; send tensors in the request")
        return user

    def _find(self, name: str, user: int) -> _Region:
        region = self._regions.get(name)
        if region is None:
            raise UnknownRegion(f"no shared memory region {name[:MAX_NAME]!r} is registered; register it first")
        if user not in (region.user, ROOT):
            raise Forbidden(f"region {name!r} was registered by another user; register your own")
        return region

    def _drop(self, region: _Region) -> None:
        del self._regions[region.status.name]
        region.registered = False
        region.close_if_done()

    def _open(self, key: str) -> int:
        name = key.lstrip("/")  # as shm_open takes it
        if not 0 < len(name) <= MAX_NAME or "/" in name or "\0" in name or name in (".", ".."):
            raise BadRequest("the key must be the name of a file in /dev/shm, without a further '/'")
        try:
            return os.open(self._folder / name, _OPEN)
        except OSError as error:
            raise BadRequest(
                f"shared memory {key[:MAX_NAME]!r} cannot be opened by this node: {error.strerror}; create it first,"
                " and let the node's user read and write it"
            ) from error


def _check_file(file: os.stat_result, status: RegionStatus, user: int) -> None:
    if not stat.S_ISREG(file.st_mode):
        raise BadRequest(f"{status.key!r} is no shared memory but something else; use shm_open")
    if not may_use(file.st_mode, file.st_uid, user):
        raise Forbidden(f"{status.key!r} belongs to another user and is not open to everybody; register your own")
    if status.byte_size < 1 or status.offset < 0 or status.offset + status.byte_size > file.st_size:
        raise BadRequest(
            f"{status.byte_size} bytes at {status.offset} do not lie in {status.key!r}, which has {file.st_size}"
        )


def _place(region: _Region, part: RegionPart, what: str) -> Place:
    size = region.status.byte_size
    if part.offset < 0 or part.nbytes < 0 or part.offset + part.nbytes > size:
        raise BadRequest(f"{what}: {part.nbytes} bytes at {part.offset} do not lie in its region, which has {size}")
    return Place(region.fd, region.status.offset + part.offset, part.nbytes)
