"""Recipes of a folder: each folder in it with a `recipe.toml`. Read at each look, so that an edit needs no restart."""

from __future__ import annotations

from pathlib import Path

from controlplane.training.recipe import FILE, Recipe, parsed
from protos.errors import Rejected

MOST_BYTES = 1 << 18  # of a recipe.toml


class FolderRecipes:
    """Implements controlplane.training.ports.Recipes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> str:
        return str(self._folder)

    def all(self) -> list[Recipe]:
        found: dict[str, Recipe] = {}
        for path in sorted(self._folder.glob(f"*/{FILE}")):
            recipe = _read(path)
            twin = found.get(recipe.name)
            if twin is not None:
                problem = f"{twin.folder} and {recipe.folder} both say that they are {recipe.name}"
                recipe = Recipe(recipe.name, twin.folder, problem=problem)
            found[recipe.name] = recipe
        return [found[name] for name in sorted(found)]


def _read(path: Path) -> Recipe:
    """Under its folder's name where it cannot say its own."""
    folder = path.parent
    try:
        with path.open("rb") as file:
            return parsed(file.read(MOST_BYTES), str(folder))
    except Rejected as error:
        return Recipe(folder.name, str(folder), problem=str(error))
    except OSError as error:
        return Recipe(folder.name, str(folder), problem=f"{path} cannot be read ({error.strerror})")
