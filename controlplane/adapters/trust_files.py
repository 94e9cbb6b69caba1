"""Where a repository begins: keys and first documents made as files, and first documents found as files.

<keys>/offline/root.key  targets.key   to be carried away
<keys>/release.key                     used by `longshore push` and `sign`, never by the control plane
<keys>/root.json                       the first root, from which a signer proves what he extends
<trust>/online.key                     the control plane's own
<trust>/{root,targets,models}.json     where all was made beforehand; taken into the database at the first start
"""

from __future__ import annotations

from pathlib import Path

from controlplane.files import private_folder, write_atomically
from controlplane.signing.ceremony import FirstKeys, begun
from controlplane.signing.keys import CryptoSigner, new_key, read_key, write_key
from protos import trust

FIRST = (trust.ROOT, trust.TARGETS, trust.MODELS)
ONLINE = "online.key"
README = """\
Keys of this fleet's signed metadata. Boxes run only what these keys signed.

offline/root.key     Says which keys count. Needed to replace a key, and once a year. Stolen: the thief owns the fleet.
offline/targets.key  Says who may sign releases and assignments. Needed together with root.key.
release.key          Signs releases: 'longshore push' and 'longshore sign' read it, the control plane never does.
                     Stolen: the thief can list a release of his own; replace it with 'longshore keys rotate release'.
root.json            The first root: no secret. Keep it beside release.key wherever you take that.

Carry offline/ away now: onto two sticks in two places, and delete it here. Nothing that runs needs it.
Copy release.key to where releases are made, and delete it here as well, if this machine is to be unable to list one.
No backup of the control plane holds any of them.
"""


def first_documents(folder: Path, keys: Path, now: int) -> dict[str, bytes]:
    """By role: found in `folder`, or made there and in `keys`. Raises Fatal.

    A start that was cut off before anything was kept begins with the keys that it finds.
    """
    found = {role: folder / f"{role}.json" for role in FIRST}
    if all(path.exists() for path in found.values()):
        return {role: path.read_bytes() for role, path in found.items()}
    private_folder(folder)
    private_folder(keys)
    private_folder(keys / "offline")
    paths = (keys / "offline" / "root.key", keys / "offline" / "targets.key", keys / "release.key", folder / ONLINE)
    documents = begun(FirstKeys(*(_kept(path) for path in paths)), now)
    write_atomically(keys / "README.txt", README.encode())
    write_atomically(keys / "root.json", documents[trust.ROOT])
    return documents


def _kept(path: Path) -> CryptoSigner:
    if not path.exists():
        write_key(path, new_key())
    return read_key(path)


def write_first(folder: Path, keys: Path, now: int) -> None:
    """As `first_documents`, into files that a control plane finds."""
    for role, content in first_documents(folder, keys, now).items():
        write_atomically(folder / f"{role}.json", content)
