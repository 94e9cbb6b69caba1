"""The model-repository extension over desired state: what is wanted here, and the answers to load and unload. Pure.

Which models a node serves is decided by deployments, which survive a restart and hold for the fleet; a caller who
could load or unload beside them would be undone by the next look at desired state. So loading what is served is done
already, and everything else is refused with the way that works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.serving.errors import Conflict, UnknownModel

READY, LOADING, UNAVAILABLE = "READY", "LOADING", "UNAVAILABLE"


@dataclass(frozen=True)
class Awaited:
    """A release that is wanted here and not loaded; `refused`: why it never will be."""

    name: str
    version: str
    refused: str = ""


@dataclass(frozen=True)
class Indexed:
    """A line of the index, in the protocol's words."""

    name: str
    version: str
    state: str
    reason: str = ""

    @property
    def ready(self) -> bool:
        return self.state == READY


def index(loaded: Iterable[tuple[str, str, bool]], awaited: Iterable[Awaited]) -> list[Indexed]:
    """`loaded`: name, version, and does it answer now?"""
    lines = [
        Indexed(name, version, READY) if ready else Indexed(name, version, LOADING, "its worker is being started")
        for name, version, ready in loaded
    ]
    for each in awaited:
        state, reason = (UNAVAILABLE, each.refused) if each.refused else (LOADING, "it is being loaded")
        lines.append(Indexed(each.name, each.version, state, reason))
    return sorted(lines, key=lambda line: (line.name, line.version))


def check_load(name: str, parameters: Mapping[str, object]) -> None:
    """Raises Conflict for a load that would bring a configuration or files of its own."""
    if parameters:
        raise Conflict(
            f"model {name!r} is loaded as its release says, without {', '.join(sorted(parameters))[:100]};"
            " package and push a release, and deploy it with: longshore apply"
        )


def not_deployed(name: str) -> UnknownModel:
    return UnknownModel(f"no deployment of this node wants model {name!r}; deploy it with: longshore apply")


def wanted(name: str) -> Conflict:
    return Conflict(
        f"a deployment wants model {name!r} on this node; change the deployment with: longshore apply, or take it away"
        " with: longshore delete deployment"
    )
