"""What `longshore try` proposes to apply: a camera of the source that was tried, and a deployment of it alone.

The camera's rate and the deployment's deadline leave room around the time that one picture took here: a box does other
things too. Pure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from controlplane.cli.kinds import Document
from controlplane.cli.output import as_yaml
from protos import pace
from protos.manifest import Manifest
from protos.pace import Pace

MUCH = 0.5  # load a core of a machine that is not idle
SOMEWHERE = "quay-1"  # stands for a box where none is known
BY = "# By 'longshore try': "
_MASK = "***"  # of a password in a source as the control plane shows it
_LONGEST = 63  # characters of a name


@dataclass(frozen=True)
class Tried:
    """A release over a source as a Camera takes it ("": pictures), and the box that could read it ("": none known)."""

    release: Manifest
    source: str
    min_score: float
    pace: Pace
    node: str = ""
    load: float = 0.0  # of the machine before the trial: what wanted to run, a core
    taken: Mapping[str, str] = field(default_factory=dict)  # names of cameras, with their sources


def measured(figures: Mapping[str, Any]) -> Pace:
    """From the figures that the agent leaves: median and p95 of decoding and inference, in seconds."""
    stages = [figures.get("stages", {}).get(name, {}) for name in ("decode", "inference")]
    usual, slow = (sum(stage.get(key, 0.0) for stage in stages) for key in ("medianSeconds", "p95Seconds"))
    return pace.pace(usual, slow)


def documents(tried: Tried) -> list[Document]:
    """The camera, unless there is none to make, and the deployment."""
    if not tried.source:
        return [_deployment(tried, _name(tried, "try"), {})]
    name = _free(tried, _name(tried, _last_word(tried.source) or "camera"))
    metadata = {"name": name, "labels": {"view": name}}
    spec = {"node": tried.node or SOMEWHERE, "source": tried.source, "rate": tried.pace.rate}
    camera = {"apiVersion": "longshore/v1", "kind": "Camera", "metadata": metadata, "spec": spec}
    return [camera, _deployment(tried, name, {"view": name})]


def as_text(tried: Tried, proposed: Sequence[Document]) -> str:
    """YAML to apply, with what to change above it."""
    hints = [f"{BY}{tried.release.name} keeps this rate and deadline on a machine like this one."]
    if len(proposed) == 1:
        hints.append("# On every box, all its cameras; narrow it with matchLabels, such as {site: harbour}.")
    elif not tried.node:
        hints.append("# Set node to the box that reads the source; 'longshore get nodes' lists yours.")
    elif proposed[0]["spec"]["source"].startswith("file://"):
        hints.append(f"# The file has to lie there on {tried.node}, which it does where that box is this machine.")
    if busy := busy_note(tried):
        hints.append(f"# {busy}")
    return "\n".join([*hints, "---\n".join(f"{as_yaml(each)}\n" for each in proposed)])


def busy_note(tried: Tried) -> str:
    """What was measured beside other work is no measure of the machine."""
    if tried.load < MUCH:
        return ""
    return f"This machine had other work (load {tried.load:.1f} a core), so rate and deadline may be too cautious."


def box_of(nodes: Sequence[Document]) -> str:
    """The box that has the fewest cameras, of those that could have one and are there; "" without one."""
    there = [each for each in nodes if each["status"]["role"] == "edge" and each["status"]["phase"] == "Online"]
    found = min(there, key=lambda each: (len(each["status"]["cameras"]), each["metadata"]["name"]), default=None)
    return str(found["metadata"]["name"]) if found else ""


def sources(documents: Iterable[Document]) -> dict[str, str]:
    """Of the cameras among them, by name."""
    cameras = (each for each in documents if each["kind"] == "Camera")
    return {str(each["metadata"]["name"]): str(each["spec"]["source"]) for each in cameras}


def _deployment(tried: Tried, name: str, labels: Mapping[str, str]) -> Document:
    chosen = {"cameraSelector": {"matchLabels": dict(labels)}} if labels else {}
    return {
        "apiVersion": "longshore/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "model": str(tried.release.name),
            "version": str(tried.release.version),
            "nodeSelector": {"matchLabels": {"node": tried.node} if labels and tried.node else {}},
            **chosen,
            "objective": {"deadline": f"{tried.pace.deadline_ms}ms"},
            "minScore": tried.min_score,
        },
    }


def _name(tried: Tried, word: str) -> str:
    """Of the release and what it was tried on, so that applying it takes nobody else's camera or deployment away."""
    return f"{tried.release.name}-{word}"[:_LONGEST].rstrip("-")


def _free(tried: Tried, name: str) -> str:
    """With a number where a camera of another source has the name: two files may be called alike."""
    numbered = (f"{name[: _LONGEST - 4].rstrip('-')}-{number}" for number in itertools.count(2))
    names = itertools.chain([name], numbered)
    return next(each for each in names if _shows(tried.taken.get(each, _MASK), tried.source))


def _shows(shown: str, source: str) -> bool:
    """Is `shown` this source, but for what is masked in it?"""
    return re.fullmatch(".*".join(map(re.escape, shown.split(_MASK))), source) is not None


def _last_word(source: str) -> str:
    parts = urlsplit(source)
    last = PurePosixPath(unquote(parts.path)).stem or parts.hostname or ""
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")
