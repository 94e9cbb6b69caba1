"""The tables of the chunks that files are made of: made when a box first asks for one, then kept beside the file.

One file is cut at a time, in the thread of who asked, at about half a second for 100 MB; who asks meanwhile for another
is told to come back.
"""

from __future__ import annotations

import threading

from controlplane.errors import NotFound
from controlplane.ports import BlobStore
from controlplane.registry import chunking
from protos import chunks
from protos.errors import Retryable
from protos.ids import Digest

AGAIN_SECONDS = 2.0


class ChunkTables:
    """Blocking and thread-safe."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._cutting = threading.Lock()

    def table(self, digest: Digest) -> bytes:
        """See protos.chunks.

        Raises:
            NotFound: there is no such file, or it is too small for a table to be worth asking for.
            Retryable: another file is being cut right now.
        """
        size = self._blobs.size(digest)
        if size is None or size < chunks.SMALLEST_FILE:
            raise NotFound(f"there is no table of chunks for {digest[:19]}…; fetch the file as a whole")
        kept = self._blobs.table(digest)
        return kept if kept is not None and chunks.is_current(kept) else self._made(digest)

    def _made(self, digest: Digest) -> bytes:
        if not self._cutting.acquire(blocking=False):
            raise Retryable("another file is being cut into chunks right now; ask again in a moment", AGAIN_SECONDS)
        try:
            content = chunking.table(self._blobs.read(digest))
            self._blobs.keep_table(digest, content)
            return content
        finally:
            self._cutting.release()
