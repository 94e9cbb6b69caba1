"""The release that a Run left, into the registry: by the same steps and checks as a push, without a network.

Each step may be repeated, so a publishing that was cut off is begun again.
"""

from __future__ import annotations

from controlplane.errors import Conflict
from controlplane.registry.service import RegistryService
from controlplane.training.ports import Executor
from protos import manifest as manifests
from protos.errors import Rejected
from protos.ids import ModelName, Version
from protos.manifest import FileEntry

MANIFEST = "manifest.json"
CHUNK = 1 << 20


class Publishing:
    def __init__(self, executor: Executor, registry: RegistryService) -> None:
        self._executor = executor
        self._registry = registry

    def __call__(self, run: str, model: ModelName, version: Version) -> str:
        """The name of the release in the registry.

        Raises:
            Rejected: it is none, or not the one that was asked for, or its version was taken meanwhile.
            Retryable: not now.
        """
        with self._executor.open_release(run, MANIFEST) as file:
            content = file.read(manifests.MAX_BYTES + 1)
        manifest = manifests.parse(content)
        if (manifest.name, manifest.version) != (model, version):
            raise Rejected(
                f"the recipe made {manifest.name} {manifest.version} and was asked for {model} {version}; it should "
                "take both from settings.json"
            )
        for entry in manifest.files:
            self._send(run, entry)
        return self._registry.create_release(content)[0].name

    def _send(self, run: str, entry: FileEntry) -> None:
        upload = self._registry.begin_upload(entry.digest, entry.size)
        if upload.complete:
            return
        receiving = self._registry.receive(upload.id, upload.offset)
        try:
            with self._executor.open_release(run, entry.path) as file:
                file.seek(upload.offset)
                while chunk := file.read(CHUNK):
                    receiving.write(chunk)
            if not receiving.finish().complete:
                raise Conflict(f"{entry.path} of the release is shorter than its manifest says; train again")
        finally:
            receiving.close()
