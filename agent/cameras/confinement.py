"""What a capture worker keeps, by what its cameras need: a device or connections out; files come as descriptors."""

from __future__ import annotations

import os
from pathlib import Path

from agent.cameras.needs import ROOM, Kind, Needs
from sandbox import profiles
from sandbox.entry import enter
from sandbox.report import Confined


def confine(needs: Needs) -> Confined:
    """Give up all else, for good; libraries first, since no file is opened later."""
    _load(needs.kind)
    pid = os.getpid()
    match needs.kind:
        case Kind.NETWORK:
            return enter(profiles.network(pid, ROOM, tuple(sorted(needs.ports))))
        case Kind.DEVICE:
            return enter(profiles.device(pid, ROOM, Path(needs.device)))
        case _:
            return enter(profiles.pictures(pid, ROOM))


def _load(kind: Kind) -> None:
    if kind is Kind.DRAWN:
        from agent.cameras import source_synthetic  # noqa: F401
    else:
        from agent.cameras import source_av

        source_av.load_all()
