"""Settings of a recipe: a frozen dataclass, whose defaults are those of `recipe.toml` (a test holds them together).

Rules that hold here: the type of a setting is that of its default. By hand, settings come as `name=value` texts and are
kept in the Run's folder, so that the same command goes on; from a control plane they lie there already.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from models.run.folder import write_whole
from protos.errors import Rejected

S = TypeVar("S")


@dataclass(frozen=True)
class Asked:
    """What to call what comes out."""

    model: str
    version: str


def resolved(defaults: S, asked: Asked, folder: Path, assignments: list[str]) -> tuple[S, Asked]:
    """What the Run in `folder` was asked for; kept there when it is new.

    Raises:
        Rejected: a setting that is not there or of another type, or another wish than the Run was begun with.
    """
    file = folder / "settings.json"
    wished = _plain(changed(defaults, assignments), asked)
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(wished, indent=2, sort_keys=True).encode())
    document = json.loads(file.read_text())
    known = {field.name for field in fields(defaults)}  # type: ignore[arg-type]
    given = {name: _typed(name, value, getattr(defaults, name)) for name, value in document.items() if name in known}
    settings = replace(defaults, **given)  # type: ignore[type-var]
    found = Asked(document.get("model", asked.model), document.get("version", asked.version))
    if assignments and _plain(settings, found) != {**wished, "model": found.model, "version": found.version}:
        raise Rejected(f"{folder} holds a Run with other settings; name another folder with --run, or remove that one")
    return settings, found


def changed(settings: S, assignments: list[str]) -> S:
    """`settings` with `name=value` texts applied.

    Raises:
        Rejected: no such setting, or a value of another type.
    """
    known = [field.name for field in fields(settings)]  # type: ignore[arg-type]
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in known:
            raise Rejected(f"no setting {name!r}; there are: {', '.join(known)}")
        default = getattr(settings, name)
        value = text if isinstance(default, str) else _number(name, text, default)
        settings = replace(settings, **{name: _typed(name, value, default)})  # type: ignore[type-var]
    return settings


def _number(name: str, text: str, default: object) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise Rejected(f"setting {name}: {text!r} is no {type(default).__name__}; the default is {default}") from None


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise Rejected(f"setting {name}: {value!r} is no {type(default).__name__}; the default is {default!r}")
    return value


def _plain(settings: object, asked: Asked) -> Mapping[str, Any]:
    return {**vars(settings), "model": asked.model, "version": asked.version}
