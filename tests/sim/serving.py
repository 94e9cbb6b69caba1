"""A node's model table under the test's hand, and an observer that remembers."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.ports import Engine
from agent.serving.dataplane import Served
from agent.serving.errors import NotReady, RefusedRelease, UnknownModel
from agent.serving.repository import Awaited


@dataclass
class FakeTable:
    """Models by name; the last version added is the one in use. Names in `loading` are known and not ready.

    `refused`: why, by name.
    """

    models: dict[str, dict[str, Engine]] = field(default_factory=dict)
    loading: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, version: str, engine: Engine) -> None:
        self.models.setdefault(name, {})[version] = engine

    def lookup(self, name: str, version: str | None) -> Served:
        if name in self.loading:
            raise NotReady(f"model {name!r} is being loaded; try again soon")
        if name in self.refused:
            raise RefusedRelease(f"this node has refused {name}: {self.refused[name]}")
        versions = self.models.get(name, {})
        chosen = version or next(reversed(versions), "")
        if chosen not in versions:
            raise UnknownModel(f"this node serves no model {name!r} version {version or 'any'}")
        return Served(name, chosen, versions[chosen])

    def versions(self, name: str) -> list[str]:
        return list(self.models[name])

    def ready(self) -> bool:
        return not self.loading

    def served(self) -> list[Served]:
        absent = self.loading | self.refused.keys()
        return [
            Served(name, version, engine)
            for name, versions in self.models.items()
            for version, engine in versions.items()
            if name not in absent
        ]

    def awaited(self) -> list[Awaited]:
        """Their versions are not told; 1 it is."""
        names = sorted(self.loading | self.refused.keys())
        return [Awaited(name, "1", self.refused.get(name, "")) for name in names]


@dataclass
class Counted:
    """An observer."""

    answers: list[tuple[str, str, str]] = field(default_factory=list)

    def answered(self, transport: str, model: str, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.answers.append((transport, model, result))
