"""Has ONNX files of a stranger pass the gate, in its processes."""

from __future__ import annotations

from controlplane.gate.runner import Gate, Use
from controlplane.registry.outline import Outline
from controlplane.registry.ports import Read
from protos.manifest import Manifest, Measured


class OnnxInspector:
    """Implements controlplane.registry.ports.Inspector."""

    def __init__(self, gate: Gate = Gate()) -> None:  # noqa: B008 - a value
        self._gate = gate

    def inspect(self, path: str, read: Read, manifest: Manifest) -> Measured:
        return self._gate.examine(path, read, manifest.file(path).size, Use(manifest.task, manifest.input))

    def outline(self, path: str, read: Read, size: int) -> Outline:
        return self._gate.outline(path, read, size)
