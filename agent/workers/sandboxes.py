"""What the agent makes of what its workers say of their sandboxes."""

from __future__ import annotations

import logging

from agent.types import Problem
from protos.problems import NOTICE
from sandbox.report import MENDS, Confined, Layer

log = logging.getLogger(__name__)


class Sandboxes:
    """The last word of each kind of worker. A missing layer is a problem of the node, and stops nothing.

    Where others hold most of what it would, it is a notice: nobody needs to come.
    """

    def __init__(self) -> None:
        self._words: dict[str, Confined] = {}

    def told(self, word: Confined) -> None:
        if self._words.get(word.profile) != word:
            self._words[word.profile] = word
            for layer in word.missing:
                level = logging.WARNING if layer.vital else logging.INFO
                log.log(level, "%s workers run without %s: %s", word.profile, layer.name, layer.sentence)

    def problems(self) -> list[Problem]:
        """One for each missing layer."""
        return [self._problem(name) for name in MENDS if self._without(name)]

    def _without(self, name: str) -> dict[str, Layer]:
        return {profile: layer for profile, word in self._words.items() for layer in word.missing if layer.name == name}

    def _problem(self, name: str) -> Problem:
        lacking = self._without(name)
        layer = max(lacking.values(), key=lambda each: each.vital)
        sentence = f"workers ({', '.join(sorted(lacking))}) run without {name}: {layer.sentence}"
        return Problem("sandbox" if layer.vital else NOTICE, sentence)
