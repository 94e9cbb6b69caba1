"""What was proven here before: the highest version of each role, kept beside the root that a signer trusts.

A control plane that was taken over could otherwise show an older list, and have what was withdrawn since signed again.
Where that folder cannot be written nothing is remembered, and signing goes on.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from controlplane.files import write_atomically
from controlplane.signing.chain import Chain
from protos.errors import Rejected


def check(root: Path, found: Chain) -> None:
    """What was found is not older, and is kept. Raises Rejected, naming the file."""
    known = _read(_beside(root))
    for role, document in sorted(found.documents.items()):
        if document.version < known.get(role, 0):
            raise Rejected(
                f"{role}.json of the control plane has version {document.version} and this machine has seen "
                f"{known[role]}: sign nothing, and ask why; if it was restored from a backup, see that what it lists "
                f"may run ('longshore get releases'), then delete {_beside(root)}"
            )
    keep(root, found)


def keep(root: Path, found: Chain) -> None:
    path = _beside(root)
    before = _read(path)
    after = {**before, **{role: max(each.version, before.get(role, 0)) for role, each in found.documents.items()}}
    if after != before:
        with contextlib.suppress(OSError):
            write_atomically(path, json.dumps(after, indent=2, sort_keys=True).encode())


def _beside(root: Path) -> Path:
    return root.with_suffix(".seen.json")


def _read(path: Path) -> dict[str, int]:
    """Raises Rejected: it is there and cannot be read."""
    try:
        found = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise Rejected(f"{path}, which says what was signed before, cannot be read; see why, then delete it") from error
    return {role: version for role, version in found.items() if isinstance(version, int)}
