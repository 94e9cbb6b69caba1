"""The board as the inference protocol sees it (agent.serving.dataplane.ModelTable)."""

from __future__ import annotations

from agent.pipeline.board import Board
from agent.pipeline.stand import Loaded
from agent.serving.dataplane import Served
from agent.serving.errors import NotReady, UnknownModel


class BoardTable:
    """Serves what answers on the board now; a model that is wanted but not there yet is NotReady, not unknown."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def lookup(self, name: str, version: str | None) -> Served:
        loaded = self._board.serving(name, version)
        if loaded is not None:
            manifest = loaded.release.manifest
            return Served(manifest.name, manifest.version, loaded.engine)
        if version in (None, "") and name in self._board.wanted_models:
            raise NotReady(f"model {name} is being loaded; try again in a moment")
        there = ", ".join(sorted(f"{one.release.manifest.name} {one.release.manifest.version}" for one in self._models))
        raise UnknownModel(f"no model {name}{f' {version}' if version else ''} here; there is {there or 'none yet'}")

    def versions(self, name: str) -> list[str]:
        found = [one.release.manifest.version for one in self._models if one.release.manifest.name == name]
        if not found and name not in self._board.wanted_models:
            raise UnknownModel(f"no model {name} here")
        return sorted(set(found))

    def ready(self) -> bool:
        return self._board.complete

    @property
    def _models(self) -> list[Loaded]:
        return self._board.models
