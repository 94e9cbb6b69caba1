"""What the registry needs beyond the blob store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from controlplane.registry.outline import Outline
from protos.manifest import Manifest


class Inspector(Protocol):
    """Looks at an ONNX file that a stranger may have sent."""

    def inspect(self, path: str, content: Iterable[bytes], manifest: Manifest) -> None:
        """Return when the file is an ONNX model that does what the manifest says.

        Raises:
            Rejected: what is wrong with `path`, in one sentence.
            Retryable: it could not be looked at now.
        """
        ...

    def outline(self, path: str, content: Iterable[bytes], size: int) -> Outline:
        """What the graph of a file that was taken once is made of (registry.outline); `size` bytes come.

        Raises:
            Rejected: it can't be read.
            Retryable: it could not be looked at now.
        """
        ...
