"""Acting with the rights of whoever owns a folder, where root writes into a folder of the agent's user.

A path in there may lead elsewhere at any moment, whatever was looked at before: with the owner's rights it leads to
nothing that he could not write himself. Rights are of the whole process: nothing else may run meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from protos.errors import Fatal


@dataclass(frozen=True)
class Owner:
    """`user`, `group`: as the system numbers them."""

    user: int
    group: int

    @contextlib.contextmanager
    def rights(self) -> Iterator[None]:
        """Only these, for the length of the block; what is open stays open. Whoever is not root has no others.

        Raises:
            Fatal: this process may not give up its own, as in some containers.
        """
        if os.geteuid() or not self.user:
            yield
            return
        with contextlib.ExitStack() as back:
            try:
                self._take(back)
            except OSError as error:
                raise Fatal(f"cannot act as user {self.user} ({error.strerror}); run the same as that user") from error
            yield

    def _take(self, back: contextlib.ExitStack) -> None:
        group, groups = os.getegid(), os.getgroups()
        os.setgroups([self.group])
        back.callback(os.setgroups, groups)
        os.setegid(self.group)
        back.callback(os.setegid, group)
        os.seteuid(self.user)
        back.callback(os.seteuid, 0)


def owner_of(folder: Path) -> Owner:
    """Whoever asks, where there is no such folder."""
    try:
        found = folder.stat()
    except OSError:
        return Owner(os.geteuid(), os.getegid())
    try:
        return Owner(found.st_uid, pwd.getpwuid(found.st_uid).pw_gid)
    except KeyError:
        return Owner(found.st_uid, found.st_gid)
