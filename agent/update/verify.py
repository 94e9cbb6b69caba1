"""Bytes in, VerifiedRelease out: the only way to get one, and the only thing the loader takes.

Here bytes are what they are named after: the manifest hashes to the digest that was approved (agent.trust.agreement)
and is what its signers described, and every file on disk has the size and the SHA-256 that the manifest gives. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NewType

from agent.errors import Damaged
from agent.trust.agreement import Approval, check
from protos.ids import Digest, digest_of
from protos.manifest import FileEntry, Manifest, parse, release_digest

VerifiedBytes = NewType("VerifiedBytes", bytes)


@dataclass(frozen=True)
class FileFacts:
    """What lies on disk, as measured."""

    size: int  # bytes
    digest: Digest


@dataclass(frozen=True)
class VerifiedRelease:
    """An approved release whose every byte on disk is what its digest names. Made by `verify` and nowhere else."""

    approval: Approval
    manifest: Manifest

    @property
    def digest(self) -> Digest:
        return self.approval.digest


def manifest(content: bytes, expected: Digest, *, kept: bool = False) -> Manifest:
    """The manifest in `content`, after the bytes proved to be `expected`. `kept`: they lie on this box's disk.

    Raises:
        Damaged: other bytes than desired state asked for.
        InvalidManifest: the right bytes, breaking a rule.
    """
    if release_digest(content) != expected:
        if kept:
            raise Damaged(f"the manifest on this box's disk is not {expected[:19]}… that was kept there", (expected,))
        raise Damaged(f"the manifest that came is not {expected[:19]}…; it was changed on the way", (expected,))
    return parse(content)


def listed(content: bytes, approval: Approval) -> Manifest:
    """As `manifest`, and described by its signers. Raises NotApproved as well."""
    described = manifest(content, approval.digest)
    check(described, len(content), approval)
    return described


def verify(
    content: bytes, approval: Approval, files: Mapping[str, FileFacts], kept: Collection[str] = ()
) -> VerifiedRelease:
    """`files`: path → facts of what is on disk. `kept`: paths of those that were proven once, when they came.

    Raises:
        Damaged: with the digests of everything that must be fetched anew.
        InvalidManifest, NotApproved: see `listed`.
    """
    described = listed(content, approval)
    wrong = [entry for entry in described.files if files.get(entry.path) != FileFacts(entry.size, entry.digest)]
    if wrong:
        names = ", ".join(entry.path for entry in wrong)
        on_disk = all(entry.path in kept for entry in wrong)
        why = "what lies on this box's disk is not what was signed" if on_disk else "it was changed on the way"
        raise Damaged(
            f"{described.name} {described.version}: {names} is not what the manifest names; {why}",
            tuple(entry.digest for entry in wrong),
        )
    return VerifiedRelease(approval, described)


def content_of(entry: FileEntry, content: bytes) -> VerifiedBytes:
    """What a loader may read: `content`, once more proven, for the disk may have changed since.

    Raises:
        Damaged: it has.
    """
    if len(content) != entry.size or digest_of(content) != entry.digest:
        raise Damaged(f"{entry.path} changed on this box's disk; it is fetched again", (entry.digest,))
    return VerifiedBytes(content)
