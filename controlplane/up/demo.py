"""What `--demo` brings, as data: two boxes, a cloud node, three cameras, one Deployment. Pure.

`up` seeds a state folder once; afterwards the fleet is the user's, and only what this tree owns is put right: where the
third camera finds its RTSP server, which another port may have moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controlplane.up.plan import LocalAgent

RELEASE = Path(__file__).parents[2] / "models" / "harbour" / "release"
CLIP = Path(__file__).parent / "demo" / "harbour.mp4"
NOTE = "longshore/note"  # annotation that the page shows beside a camera
RTSP_PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
RTSP_CAMERA = "berth"

AGENTS = (
    LocalAgent("north-quay", "edge", {"site": "harbour", "quay": "north"}, 0),
    LocalAgent("south-quay", "edge", {"site": "harbour", "quay": "south"}, 1),
    LocalAgent("cloud-1", "cloud", {"role": "cloud"}, 2),
)

Document = dict[str, Any]


def cameras(clip: Path, rtsp_url: str | None) -> list[Document]:
    """The three cameras; without an RTSP server the third plays the file and says why."""
    file = clip.as_uri()
    if rtsp_url:
        third = _camera(RTSP_CAMERA, "north-quay", rtsp_url, {})
    else:
        third = _camera(RTSP_CAMERA, "north-quay", file, {NOTE: _no_rtsp()})
    return [
        _camera("crane", "north-quay", "synthetic://harbour?seed=7", {}),
        _camera("gate", "south-quay", file, {}),
        third,
    ]


def deployment(model: str, version: str) -> Document:
    """The bundled release on every box of the harbour, with the cloud node to help."""
    return {
        "apiVersion": "longshore/v1",
        "kind": "Deployment",
        "metadata": {"name": "harbour-watch"},
        "spec": {
            "model": model,
            "version": version,
            "nodeSelector": {"matchLabels": {"site": "harbour"}},
            "cameraSelector": {"matchLabels": {"site": "harbour"}},  # not the cameras that somebody adds
            "cloudSelector": {"matchLabels": {"role": "cloud"}},
            "objective": {"deadline": "250ms"},
            "offload": {"enabled": True, "uplink": "8Mbit/s", "jpegQuality": 80},
        },
    }


def moved(stored: Document, wanted: Document) -> Document | None:
    """`stored` with the source it should have by now, or None when it is right or the user gave it another."""
    source, target = str(stored["spec"]["source"]), str(wanted["spec"]["source"])
    if source == target or not _is_ours(source):
        return None
    kept = {key: value for key, value in (stored["metadata"].get("annotations") or {}).items() if key != NOTE}
    annotations = {**kept, **wanted["metadata"]["annotations"]}
    metadata = {"name": stored["metadata"]["name"], "labels": stored["metadata"].get("labels") or {}}
    return {
        **{key: stored[key] for key in ("apiVersion", "kind")},
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**stored["spec"], "source": target},
    }


def _is_ours(source: str) -> bool:
    parts = urlsplit(source)
    return (parts.scheme, parts.hostname, parts.path) == ("rtsp", "127.0.0.1", "/harbour") or (
        parts.scheme == "file" and parts.path.endswith(f"/up/demo/{CLIP.name}")
    )


def _camera(name: str, node: str, source: str, annotations: dict[str, str]) -> Document:
    return {
        "apiVersion": "longshore/v1",
        "kind": "Camera",
        "metadata": {"name": name, "labels": {"site": "harbour"}, "annotations": annotations},
        "spec": {"node": node, "source": source, "rate": 10},
    }


def _no_rtsp() -> str:
    return (
        f"plays the file: no RTSP server on this machine; for a real stream, as root: apt-get install {RTSP_PACKAGES}"
    )
