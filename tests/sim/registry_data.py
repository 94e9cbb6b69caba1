"""Releases as a registry would hold them: the sample detector, and a next version of it that was never trained."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import onnx

from controlplane.container import Services
from controlplane.registry.domain import StoredRelease
from protos import manifest as manifests
from protos.ids import Version, digest_of, hex_of
from protos.manifest import FileEntry, Variant
from tests.sim.releases import MadeRelease

HARBOUR = Path(__file__).parents[2] / "models" / "harbour" / "release"
FIRST, NEXT = Version("1.0.0"), Version("1.1.0")
_BETTER = ((FIRST, NEXT), ("0.857", "0.881"), ("0.936", "0.949"), ("0.920", "0.913"), ("0.922", "0.932"))


@cache
def harbour() -> MadeRelease:
    """The bundled one, whatever its version is, as 1.0.0."""
    made = manifests.parse((HARBOUR / "manifest.json").read_bytes())
    files = {entry.path: (HARBOUR / entry.path).read_bytes() for entry in made.files}
    files["card.md"] = _card().encode()
    entries = tuple(
        replace(entry, digest=digest_of(files[entry.path]), size=len(files[entry.path])) for entry in made.files
    )
    return _made(manifests.to_bytes(replace(made, version=FIRST, files=entries)), files)


def _card() -> str:
    version = manifests.parse((HARBOUR / "manifest.json").read_bytes()).version
    return (HARBOUR / "card.md").read_text().replace(f"harbour {version}", f"harbour {FIRST}")


@cache
def harbour_next() -> MadeRelease:
    """1.1.0: an int8 variant, one more class, other figures on its card, another graph."""
    made = manifests.parse(harbour().manifest)
    graph = onnx.load_from_string(harbour().model)
    graph.graph.node.append(onnx.helper.make_node("Identity", ["boxes"], ["again"], name="again"))
    card = _card()
    for old, new in _BETTER:
        card = card.replace(old, new)
    labels = (*made.labels, "buoy")
    files = {
        "card.md": ("card", card.encode()),
        "labels.txt": ("labels", "\n".join((*labels, "")).encode()),
        "model.onnx": ("model", graph.SerializeToString()),
        "model-int8.onnx": ("model", graph.SerializeToString()[: len(harbour().model) // 3]),
    }
    entries = tuple(FileEntry(path, digest_of(body), len(body), role) for path, (role, body) in sorted(files.items()))
    variants = (*made.variants, Variant("int8", "int8", "model-int8.onnx"))
    newer = replace(made, version=NEXT, labels=labels, files=entries, variants=variants)
    return _made(manifests.to_bytes(newer), {path: body for path, (_, body) in files.items()})


def _made(content: bytes, files: dict[str, bytes]) -> MadeRelease:
    blobs = {digest_of(body): body for body in files.values()}
    digest = manifests.release_digest(content)
    return MadeRelease(digest, content, files["model.onnx"], {**blobs, digest: content})


def put(services: Services, made: MadeRelease) -> StoredRelease:
    """As a push does, without HTTP."""
    for digest, content in made.blobs.items():
        if services.blobs.size(digest) is None:
            with services.blobs.stage(f"put-{hex_of(digest)[:16]}") as staging:
                staging.write(content)
                staging.commit(digest)
    return services.registry.create_release(made.manifest)[0]
