"""What somebody should know before a deployment is applied, a sentence each. Pure.

Only a label that the release lacks hinders applying, which refuses it; boxes and cameras may come later. REST and the
form show these very sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.fleet import specs, status
from controlplane.fleet.objects import Node
from controlplane.fleet.selection import Selection
from controlplane.fleet.specs import DeploymentSpec

_NAMED = 3  # boxes named in one sentence; the others are counted


def warnings(spec: DeploymentSpec, chosen: Selection, labels: Sequence[str] | None) -> list[str]:
    """`chosen` is what `spec` selects; `labels` are the release's, None where the registry lacks it."""
    strange = [] if labels is None else specs.strange_labels(spec, labels)
    misfits = [message for _, message in status.misfits(spec, chosen)]
    return [*_selected(spec, chosen), *(f"{message}." for message in (*strange, *misfits))]


def _selected(spec: DeploymentSpec, chosen: Selection) -> list[str]:
    said = []
    if not chosen.nodes:
        said.append("No box matches. It can be saved all the same: boxes that match later will take it up.")
    elif not chosen.cameras:
        said.append(
            "No camera matches: these boxes load the release for applications beside them, and look at nothing."
        )
    if away := [node for node in chosen.nodes if status.phase(node) is not status.Phase.ONLINE]:
        said.append(f"Not online now: {_named(away)}. They follow when they call in again.")
    if spec.offload.enabled and not chosen.cloud:
        said.append("Cloud help is on and no cloud node matches: nobody will help.")
    return said


def _named(nodes: Sequence[Node]) -> str:
    more = len(nodes) - _NAMED
    return ", ".join(node.name for node in nodes[:_NAMED]) + (f" and {more} more" if more > 0 else "")
