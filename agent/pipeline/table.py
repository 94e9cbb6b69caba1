"""The board as the inference protocol sees it (agent.serving.dataplane.ModelTable)."""

from __future__ import annotations

from collections.abc import Callable

from agent.pipeline.board import Board, DeploymentWish
from agent.pipeline.loaded import Loaded
from agent.serving.dataplane import Served
from agent.serving.errors import NotReady, RefusedRelease, UnknownModel
from agent.serving.repository import Awaited
from protos.errors import LongshoreError
from protos.ids import DeploymentName, Digest


class BoardTable:
    """Serves what is loaded on the board; a release that is wanted but not there yet is NotReady, not unknown.

    While a release is being confirmed the one before it is served beside it: boxes change over each at its own time.
    """

    def __init__(self, board: Board, refusal: Callable[[DeploymentName, Digest], str]) -> None:
        """`refusal`: why a deployment's release was refused for good, or ""."""
        self._board = board
        self._refusal = refusal

    def lookup(self, name: str, version: str | None) -> Served:
        for loaded in self._named(name):
            manifest = loaded.release.manifest
            if version in (None, "", manifest.version):
                return Served(manifest.name, manifest.version, loaded.engine)
        raise self._absent(name, version)

    def versions(self, name: str) -> list[str]:
        found = {loaded.release.manifest.version for loaded in self._named(name)}
        if not found and name not in {wish.model for wish in self._board.wishes}:
            raise UnknownModel(f"no model {name} here")
        return sorted(found)

    def ready(self) -> bool:
        return self._board.complete and all(loaded.engine.ready for loaded in self._board.answering.values())

    def served(self) -> list[Served]:
        found: dict[tuple[str, str], Served] = {}
        for loaded in self._board.askable:
            manifest = loaded.release.manifest
            served = Served(manifest.name, manifest.version, loaded.engine)
            found.setdefault((served.name, served.version), served)  # the first, as `lookup` has it
        return list(found.values())

    def awaited(self) -> list[Awaited]:
        there = {(each.name, each.version) for each in self.served()}
        found: dict[tuple[str, str], Awaited] = {}
        for wish in self._board.wishes:
            wanted = (str(wish.model), str(wish.version))
            if wanted not in there:
                awaited = Awaited(*wanted, self._refusal(wish.name, wish.digest))
                if not awaited.refused or wanted not in found:  # one deployment that still loads it is enough
                    found[wanted] = awaited
        return list(found.values())

    def _named(self, name: str) -> list[Loaded]:
        return [loaded for loaded in self._board.askable if loaded.release.manifest.name == name]

    def _absent(self, name: str, version: str | None) -> LongshoreError:
        """Why nothing loaded answers to this."""
        wanted = [wish for wish in self._board.wishes if wish.model == name and version in (None, "", wish.version)]
        if wanted:
            return self._awaited(wanted)
        manifests = (loaded.release.manifest for loaded in self._board.askable)
        there = ", ".join(sorted({f"{manifest.name} {manifest.version}" for manifest in manifests}))
        asked = f"{name} {version}" if version else name
        return UnknownModel(f"no model {asked} here; there is {there or 'none yet'}")

    def _awaited(self, wanted: list[DeploymentWish]) -> LongshoreError:
        """Of several deployments that want it, one that still loads it is enough to wait for."""
        for wish in wanted:
            reason = self._refusal(wish.name, wish.digest)
            if not reason:
                return NotReady(f"model {wish.model} {wish.version} is being loaded; try again in a moment")
        return RefusedRelease(
            f"this node has refused {wish.model} {wish.version} and does not try it again: {reason};"
            " deploy another version"
        )
