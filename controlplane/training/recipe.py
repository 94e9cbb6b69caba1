"""What a recipe says of itself in `recipe.toml`, and the settings of a Run made from it. Pure.

    name = "harbour"
    summary = "…"
    task = "detection"
    command = ["{python}", "-m", "models.harbour", "run"]     # {folder}: where this file lies

    [settings.epochs]
    default = 5                # its type is the setting's: int, float, bool or str
    help = "…"

A value may come as text, as command lines and forms give it, and is then read by the type of the default.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protos.errors import InvalidName, Rejected
from protos.ids import digest_of, is_one_line, model_name
from protos.manifest import TASKS

FILE = "recipe.toml"
RESERVED = ("model", "version")  # of a Run's settings file, beside the settings
MOST_SETTINGS = 64
MOST_TEXT = 1024  # characters of a text setting
MOST_WHOLE = 1 << 53  # beyond it JSON's readers disagree
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_FIELDS = {"name", "summary", "task", "command", "settings"}

Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    name: str
    default: Value
    help: str = ""

    @property
    def type(self) -> str:
        return type(self.default).__name__


@dataclass(frozen=True)
class Recipe:
    """`folder`: where it lies. `problem`: why no Run can be made of it, empty for a sound one."""

    name: str
    folder: str
    summary: str = ""
    task: str = ""
    command: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    digest: str = ""  # of its recipe.toml
    problem: str = ""


def parsed(content: bytes, folder: str) -> Recipe:
    """What `recipe.toml` in `folder` says. Raises Rejected with the first thing that is wrong."""
    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"{FILE} cannot be read: {error}") from error
    unknown = sorted(document.keys() - _FIELDS)
    if unknown:
        raise Rejected(f"{FILE}: {unknown[0]} is no field here; there are {', '.join(sorted(_FIELDS))}")
    command = document.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) for part in command):
        raise Rejected(f'{FILE}: command must be a list of texts, such as ["{{python}}", "-m", "models.harbour"]')
    if document.get("task") not in TASKS:
        raise Rejected(f"{FILE}: task must be one of {', '.join(TASKS)}")
    settings = _settings(document.get("settings", {}))
    summary = str(document.get("summary", ""))
    return Recipe(_name(document), folder, summary, document["task"], tuple(command), settings, digest_of(content))


def _name(document: Mapping[str, Any]) -> str:
    try:
        return model_name(str(document.get("name", "")))
    except InvalidName as error:
        raise Rejected(f"{FILE}: {error}") from error


def _settings(found: object) -> tuple[Setting, ...]:
    if not isinstance(found, Mapping) or len(found) > MOST_SETTINGS:
        raise Rejected(f"{FILE}: settings must be tables [settings.NAME], {MOST_SETTINGS} at most")
    for name, told in found.items():
        if not isinstance(told, Mapping) or not isinstance(told.get("default"), Value):
            raise Rejected(f"{FILE}: settings.{name} needs a default that is a number, a text, true or false")
        if name in RESERVED:
            raise Rejected(f"{FILE}: settings.{name} is what each Run is told anyway; give the setting another name")
    return tuple(Setting(name, told["default"], str(told.get("help", ""))) for name, told in found.items())


def resolved(recipe: Recipe, given: Mapping[str, Value]) -> dict[str, Value]:
    """All settings of a Run. Raises Rejected for a setting that is not there or of another type."""
    known = {setting.name: setting for setting in recipe.settings}
    for name in given:
        if name not in known:
            raise Rejected(_unknown(recipe.name, name, list(known)))
    return {name: _typed(setting, given.get(name, setting.default)) for name, setting in known.items()}


def _unknown(recipe: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known) or 'none'}"
    return f"recipe {recipe} has no setting {name!r}; {hint}"


def _typed(setting: Setting, value: Value) -> Value:
    wanted = type(setting.default)
    if wanted is str:
        return _text(setting, value)
    read = _read(wanted, value) if isinstance(value, str) else value
    if wanted is float and type(read) is int:
        read = float(read)
    if type(read) is not wanted or (isinstance(read, float) and not math.isfinite(read)):
        raise Rejected(f"setting {setting.name} must be {_KINDS[wanted]}, such as {_shown(setting.default)}")
    if isinstance(read, int) and abs(read) > MOST_WHOLE:
        raise Rejected(f"setting {setting.name} must be at most {MOST_WHOLE}")
    return read


_KINDS: Mapping[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _text(setting: Setting, value: Value) -> str:
    text = value if isinstance(value, str) else _shown(value)
    if len(text) > MOST_TEXT or not is_one_line(text):
        raise Rejected(f"setting {setting.name} must be one line of at most {MOST_TEXT} characters")
    return text


def _read(wanted: type, text: str) -> Value | None:
    """None: it is nothing of that type."""
    if wanted is bool:
        return _FLAGS.get(text.strip().lower())
    try:
        return int(text) if wanted is int else float(text)
    except ValueError:
        return None


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
