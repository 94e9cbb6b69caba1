"""The board as the inference protocol sees it (agent.serving.dataplane.ModelTable)."""

from __future__ import annotations

from agent.pipeline.board import Board
from agent.pipeline.stand import Loaded
from agent.serving.dataplane import Served
from agent.serving.errors import NotReady, UnknownModel


class BoardTable:
    """Serves what is loaded on the board; a release that is wanted but not there yet is NotReady, not unknown.

    While a release is being confirmed the one before it is served beside it: boxes change over each at its own time.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def lookup(self, name: str, version: str | None) -> Served:
        for loaded in self._named(name):
            manifest = loaded.release.manifest
            if version in (None, "", manifest.version):
                return Served(manifest.name, manifest.version, loaded.engine)
        asked = f"{name} {version}" if version else name
        if any(name == wanted and version in (None, "", its) for wanted, its in self._board.wanted_models):
            raise NotReady(f"model {asked} is being loaded; try again in a moment")
        manifests = (loaded.release.manifest for loaded in self._board.askable)
        there = ", ".join(sorted({f"{manifest.name} {manifest.version}" for manifest in manifests}))
        raise UnknownModel(f"no model {asked} here; there is {there or 'none yet'}")

    def versions(self, name: str) -> list[str]:
        found = {loaded.release.manifest.version for loaded in self._named(name)}
        if not found and name not in {wanted for wanted, _ in self._board.wanted_models}:
            raise UnknownModel(f"no model {name} here")
        return sorted(found)

    def ready(self) -> bool:
        return self._board.complete and all(loaded.engine.ready for loaded in self._board.answering.values())

    def _named(self, name: str) -> list[Loaded]:
        return [loaded for loaded in self._board.askable if loaded.release.manifest.name == name]
