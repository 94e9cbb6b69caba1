"""What a process says of its own sandbox, before it reads what others made."""

from __future__ import annotations

import msgspec

# In the order in which they are entered; each sentence ends what was found missing.
MENDS = {
    "cgroup": "run the agent as the service of 'longshore-agent join --install', or with a cgroup that it may write",
    "rlimits": "look at the limits of the agent's service or container",
    "no_new_privs": "use Linux 3.5 or newer",
    "capabilities": "run the agent as a user of its own ('longshore-agent join --install' makes one)",
    "landlock": "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and 'landlock' in its lsm= line if it has one",
    "seccomp": "use x86_64 or aarch64 with CONFIG_SECCOMP_FILTER, in a container whose own filter allows 'seccomp'",
}


class Layer(msgspec.Struct, array_like=True, frozen=True):
    """One layer as the worker tried it. `detail`: what it is, or what was found missing.

    `vital`: no other layer holds most of what it holds.
    """

    name: str
    holds: bool
    detail: str
    vital: bool = True

    @property
    def sentence(self) -> str:
        return f"{self.detail}; {MENDS[self.name]}"


class Confined(msgspec.Struct, tag="confined", frozen=True):
    """The first word of a worker that has given up its rights, before it reads what others made."""

    profile: str
    layers: tuple[Layer, ...]

    @property
    def missing(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if not layer.holds)

    def __str__(self) -> str:
        return ", ".join(" ".join(filter(None, (layer.name, layer.detail))) for layer in self.layers if layer.holds)
