"""What the agent makes of what its workers say of their sandboxes."""

from __future__ import annotations

import logging

from agent.types import Problem
from sandbox.report import MENDS, Confined, Layer

log = logging.getLogger(__name__)


class Sandboxes:
    """The last word of each kind of worker. A missing layer is a problem of the node, and stops nothing."""

    def __init__(self) -> None:
        self._words: dict[str, Confined] = {}

    def told(self, word: Confined) -> None:
        if self._words.get(word.profile) != word:
            self._words[word.profile] = word
            for layer in word.missing:
                log.warning("%s workers run without %s: %s", word.profile, layer.name, layer.sentence)

    def problems(self) -> list[Problem]:
        """One for each missing layer."""
        return [Problem("sandbox", self._sentence(name)) for name in MENDS if self._without(name)]

    def _without(self, name: str) -> dict[str, Layer]:
        return {profile: layer for profile, word in self._words.items() for layer in word.missing if layer.name == name}

    def _sentence(self, name: str) -> str:
        lacking = self._without(name)
        layer = next(iter(lacking.values()))
        return f"workers ({', '.join(sorted(lacking))}) run without {name}: {layer.sentence}"
