"""What stays in a cache that has no room for all. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from protos.ids import Digest


def stays(kept: Mapping[Digest, int], last: Mapping[Digest, float], room: int) -> list[Digest]:
    """Of what is kept (bytes, by digest), what fits into `room` bytes: what was asked for last stays longest.

    `last`: when each was asked for; what is not in it has not been asked for since the start.
    """
    found = []
    for digest in sorted(kept, key=lambda each: last.get(each, 0.0), reverse=True):
        room -= kept[digest]
        if room < 0:
            break
        found.append(digest)
    return found
