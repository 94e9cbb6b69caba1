"""What the registry needs beyond the blob store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from controlplane.registry.outline import Outline
from protos.manifest import Manifest, Measured

Read = Callable[[], Iterable[bytes]]  # a file from its beginning, each time it is called


class Inspector(Protocol):
    """Looks at an ONNX file that a stranger may have sent."""

    def inspect(self, path: str, read: Read, manifest: Manifest) -> Measured:
        """What running it took, when the file is an ONNX model that passes the gate and does what the manifest says.

        Raises:
            Rejected: `path`, what is wrong with it, what to do, and the rule, in one sentence.
            Retryable: it could not be looked at now.
        """
        ...

    def outline(self, path: str, read: Read, size: int) -> Outline:
        """What the graph of a file of `size` bytes, which was taken once, is made of (registry.outline).

        Raises:
            Rejected: it can't be read.
            Retryable: it could not be looked at now.
        """
        ...
