"""What boxes without a network need, written to a folder (protos.carried). No printing.

Files get their names whole and proven: metadata as it is signed, files of releases by their digests. What is there
already and right is kept, so that an export which broke off goes on; `SHA256SUMS` comes last and says that it is whole.
What an earlier export wrote and nobody needs now goes; reports stay.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from controlplane.cli.client import Client, address
from controlplane.cli.stick import Stick
from protos import carried, manifest
from protos.errors import Rejected, Retryable
from protos.ids import Digest, digest, digest_of, hex_of, node_id

README = """What is in here was written by 'longshore export' for boxes that no network reaches:

    {nodes}

On each box:   sudo longshore-agent import DIR      (DIR: this folder)
Then, back:    longshore import-report DIR

Boxes prove all of it, so a changed file is refused by name. Keep this folder to yourself all the same: boxes/*.state
holds the credentials of cameras. To check the copy: sha256sum -c SHA256SUMS
"""


@dataclass(frozen=True)
class Wish:
    """`deployments`: whose releases to bring; empty: all of the boxes'."""

    folder: Path
    nodes: tuple[str, ...] = ()
    selector: str = ""
    deployments: tuple[str, ...] = ()


def export(client: Client, wish: Wish) -> Iterator[str]:
    """Sentences as it goes on.

    Raises:
        Rejected, NotFound: no such box, an unknown deployment, or a folder that cannot be written.
        Retryable: nobody answers, or the metadata changed meanwhile; the same once more goes on.
    """
    known = wish.nodes or tuple(each["metadata"]["name"] for each in client.listed("nodes", wish.selector))
    nodes: tuple[str, ...] = tuple(map(node_id, known))
    if not nodes:
        raise Rejected("no box matches; see 'longshore get nodes'")
    states = {node: client.document("POST", address("exports", node)) for node in nodes}
    chosen = _chosen(states, wish.deployments)
    folder = Stick(wish.folder)
    folder.unfinished()
    wanted = {f"{carried.METADATA}/{name}": content for name, content in _metadata(client).items()}
    sums, written = {}, 0
    for wished in chosen:
        for name, fetched in _release(client, folder, wished):
            sums[name] = name.rpartition("/")[2]
            written += fetched
    yield f"{len(sums)} files of {len(chosen)} releases, {written} bytes of them new"
    for node, answer in states.items():
        wanted[f"{carried.BOXES}/{node}{carried.STATE}"] = base64.b64decode(answer["state"])
    wanted[carried.README] = README.format(nodes="\n    ".join(nodes)).encode()
    for name, content in wanted.items():
        folder.write(name, content)
        sums[name] = hashlib.sha256(content).hexdigest()
    folder.finish(sums)
    yield f"{wish.folder} is for {', '.join(nodes)}: 'longshore-agent import' there takes it"


def _chosen(states: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]], only: Sequence[str]) -> list[Digest]:
    """Raises Rejected: a deployment that none of the boxes has."""
    found = {name: each for answer in states.values() for name, each in answer["releases"].items()}
    if unknown := set(only) - found.keys():
        raise Rejected(f"none of these boxes has a deployment {min(unknown)!r}; there are {', '.join(found)}")
    names = only or list(found)
    return sorted({digest(each) for name in names for each in found[name]})


def _metadata(client: Client) -> dict[str, bytes]:
    """All that the newest timestamp leads to, and every root, by name. Boxes prove it; here it only has to be whole."""
    found = {carried.TIMESTAMP: _file(client, carried.TIMESTAMP)}
    for version in range(1, _version(_file(client, "root.json")) + 1):
        found[f"{version}.root.json"] = _file(client, f"{version}.root.json")
    snapshot = f"{_named(found[carried.TIMESTAMP])['snapshot.json']}.snapshot.json"
    found[snapshot] = _file(client, snapshot)
    for name, version in _named(found[snapshot]).items():
        found[f"{version}.{name}"] = _file(client, f"{version}.{name}")
    return found


def _file(client: Client, name: str) -> bytes:
    content = client.metadata(name)
    if content is None:
        raise Retryable(f"the control plane has no {name}; it signs meanwhile, or is older than 0.2")
    return content


def _version(content: bytes) -> int:
    return int(json.loads(content)["signed"]["version"])


def _named(content: bytes) -> dict[str, int]:
    return {name: int(meta["version"]) for name, meta in json.loads(content)["signed"]["meta"].items()}


def _release(client: Client, folder: Stick, wished: Digest) -> Iterator[tuple[str, int]]:
    """Names of its files, and how many bytes of each were fetched."""
    yield _blob(client, folder, wished, None)
    described = manifest.parse(folder.read(_place(wished)))
    for entry in described.files:
        yield _blob(client, folder, entry.digest, entry.size)


def _blob(client: Client, folder: Stick, wished: Digest, size: int | None) -> tuple[str, int]:
    name = _place(wished)
    if folder.has(wished, name):
        return name, 0
    if size is None:
        content = client.call("GET", f"/blobs/{hex_of(wished)}").content
        if digest_of(content) != wished:
            raise Retryable(f"{name} came damaged; run the same once more")
        folder.write(name, content)
        return name, len(content)
    return name, folder.fetch(wished, name, size, lambda start, stop: client.piece(wished, start, stop))


def _place(wished: Digest) -> str:
    return f"{carried.BLOBS}/{hex_of(wished)}"
