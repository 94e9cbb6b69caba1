"""What is inside a release: its manifest as a value, its card as text, the outlines of its graphs.

Releases never change and files are named by content, so what was read once is kept, for few files. One graph is looked
into at a time, in the process that also judges pushes; nothing here changes anything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from controlplane.ports import BlobStore
from controlplane.registry import cards
from controlplane.registry.difference import Side
from controlplane.registry.domain import StoredFile, StoredRelease
from controlplane.registry.outline import Outline
from controlplane.registry.ports import Inspector
from protos import manifest as manifests
from protos.errors import InvalidManifest, Rejected, Retryable
from protos.ids import Digest
from protos.manifest import Manifest

MOST_CARD_BYTES = 1 << 20
MOST_KEPT = 64  # outlines, of a few kilobytes each
WAIT_SECONDS = 20.0


class ReleaseContents:
    """Blocking and thread-safe."""

    def __init__(self, blobs: BlobStore, inspector: Inspector) -> None:
        self._blobs = blobs
        self._inspector = inspector
        self._kept: OrderedDict[Digest, Outline] = OrderedDict()
        self._looking = threading.Lock()

    def manifest(self, release: StoredRelease) -> Manifest | None:
        """None where it was stored under rules that this version can't read any more."""
        try:
            return manifests.parse(release.manifest)
        except InvalidManifest:
            return None

    def card(self, release: StoredRelease) -> str:
        """Empty without one. Raises NotFound when its file is gone, Retryable."""
        entry = next((entry for entry in release.files if entry.role == "card"), None)
        if entry is None:
            return ""
        content = b"".join(self._blobs.read(entry.digest, 0, min(entry.size, MOST_CARD_BYTES)))
        return content.decode(errors="replace")

    def outlines(self, release: StoredRelease) -> dict[str, Outline]:
        """By file name, of those that can be read; about a second for each that nobody asked for yet.

        Raises:
            Retryable: too many ask right now.
        """
        found = {entry.path: self._outline(entry) for entry in _graphs(release)}
        return {path: outline for path, outline in found.items() if outline}

    def known_outlines(self, release: StoredRelease) -> dict[str, Outline] | None:
        """The same at once; None where somebody would have to look first."""
        if any(entry.digest not in self._kept for entry in _graphs(release)):
            return None
        return self.outlines(release)

    def side(self, release: StoredRelease, *, only_known: bool = False) -> Side:
        """What `difference` compares. Raises Retryable."""
        return Side(
            name=release.name,
            manifest=self.manifest(release),
            files=release.files,
            figures=cards.figures(self.card(release)),
            outlines=self.known_outlines(release) if only_known else self.outlines(release),
        )

    def _outline(self, entry: StoredFile) -> Outline:
        """Empty when it can't be read."""
        if not self._looking.acquire(timeout=WAIT_SECONDS):
            raise Retryable("another graph is being looked into right now; ask again in a moment", 2.0)
        try:
            if entry.digest not in self._kept:
                self._kept[entry.digest] = self._look_into(entry)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return self._kept[entry.digest]
        finally:
            self._looking.release()

    def _look_into(self, entry: StoredFile) -> Outline:
        try:
            return self._inspector.outline(entry.path, lambda: self._blobs.read(entry.digest), entry.size)
        except Rejected:
            return {}


def _graphs(release: StoredRelease) -> list[StoredFile]:
    return [entry for entry in release.files if entry.role == "model"]
