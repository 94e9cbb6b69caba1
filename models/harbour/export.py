"""From weights to the packaged release of the sample model.

Rules that hold here: no torch; the same weights and provenance give the same bytes on every machine. Name and version
are those in the provenance, which a Run writes, or else the sample's own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from models.harbour.card import card
from models.harbour.plan import LABELS, PLAN, SIZE
from models.network.graph import Title, detector_graph, to_bytes
from models.release import Facts, release_files, sha256, write_files
from protos.judged import parse

HOME = Path(__file__).parent
RELEASE = HOME / "release"
NAME, VERSION = "harbour", "1.1.0"

__all__ = ["HOME", "NAME", "RELEASE", "VERSION", "onnx_bytes", "release", "sha256", "write_release"]


def write_release(home: Path = HOME, target: Path = RELEASE) -> dict[str, bytes]:
    """Build the release of the weights and provenance in `home` and write it to `target`."""
    files = release((home / "weights.safetensors").read_bytes(), json.loads((home / "provenance.json").read_text()))
    write_files(target, files)
    return files


def release(weights: bytes, provenance: Mapping[str, Any]) -> dict[str, bytes]:
    """All files of the release by name."""
    name, version = provenance.get("model", NAME), provenance.get("version", VERSION)
    judged = parse(provenance["judged"]) if "judged" in provenance else None
    facts = Facts(name, version, "detection", SIZE, LABELS, judged)
    return release_files(facts, onnx_bytes(weights, Title(name, version)), card(provenance))


def onnx_bytes(weights: bytes, title: Title) -> bytes:
    return to_bytes(detector_graph(PLAN, load(weights), SIZE, title))
