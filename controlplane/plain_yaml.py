"""YAML as plain values, without YAML 1.1's surprises: what is written as text arrives as that very text.

A date, `yes`, `on`, `1:30` and `0x1f` are text; numbers are decimal, and true, false and null are what JSON calls so.
Where an object wants text (TEXT_FIELDS), a number or a truth value is text as well: `version: 1.10` is "1.10", which no
reader of numbers could give back. A key given twice is refused, a document may be at most so deep, and anchors are
followed only as far as MAX_CHARACTERS: nine lines of YAML can stand for gigabytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import yaml

from protos.errors import Rejected

MAX_CHARACTERS = 32 << 20  # of one document with its anchors followed
MAX_DEPTH = 40  # our objects take six
# Everything below these fields is text too: labels are a mapping of texts, `values` of a selector a list of them.
TEXT_FIELDS = frozenset(
    {"apiVersion", "kind", "name", "labels", "annotations", "version", "model", "node", "source"}
    | {"matchLabels", "key", "values"}
)
# A mapping below these is of terms and holds numbers by the names of labels and cameras. Such a name may be that of a
# field, `source` or `version`, and means nothing there.
NUMBERS_BY_NAME = frozenset({"values", "cameraValues"})
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")  # JSON writes rare letters as two of them


class _As(Enum):
    """What the keys and scalars of a node are read as."""

    FIELDS = "each key is a field and says what is below it"
    TEXT = "every scalar is text"
    DATA = "every key is somebody's name for a thing, every scalar what it says"


class _Loader(yaml.SafeLoader):
    """The scalars of JSON, and `<<`."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the name and type are PyYAML's


_PLAIN = {
    "null": (r"(?:~|null|Null|NULL|)\Z", [*"~nN", ""]),
    "bool": (r"(?:true|True|TRUE|false|False|FALSE)\Z", [*"tTfF"]),
    "int": (r"[-+]?[0-9]+\Z", [*"-+0123456789"]),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", [*"-+.0123456789"]),
    "merge": (r"<<\Z", ["<"]),
}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def documents(text: str, where: str) -> Iterator[tuple[str, Any]]:
    """Each document of `text` with its place in words.

    Raises:
        Rejected: naming file, document and line of what is wrong.
    """
    nodes = yaml.compose_all(text, Loader=_Loader)
    number = 0
    while True:
        number += 1
        place = f"{where}, document {number}"
        node = _next(nodes, place)
        if node is None:
            return
        yield place, _Reader(place).value(node, 0, _As.FIELDS)


def _next(nodes: Iterator[yaml.Node], place: str) -> yaml.Node | None:
    try:
        return next(nodes, None)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise Rejected(f"{place}{line} is not YAML: {what}") from error
    except RecursionError as error:
        raise Rejected(f"{place} is nested too deeply to be an object") from error


def _below(key: str, value: yaml.Node, reading: _As) -> _As:
    """What `value` is read as, which stands at `key` of a mapping that is read as `reading`."""
    if reading is not _As.FIELDS:
        return reading
    if key in NUMBERS_BY_NAME and isinstance(value, yaml.MappingNode):
        return _As.DATA
    return _As.TEXT if key in TEXT_FIELDS else _As.FIELDS


class _Reader:
    """The nodes of one document, to values."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._left = MAX_CHARACTERS

    def value(self, node: yaml.Node, depth: int, reading: _As) -> Any:
        """Raises Rejected."""
        self._left -= 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if self._left < 0 or depth > MAX_DEPTH:
            much = f"stands for more than {MAX_CHARACTERS >> 20} MiB" if self._left < 0 else "is nested too deeply"
            raise self._refused(node, f"{much}; write it out without anchors")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, text=reading is _As.TEXT)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, depth + 1, reading) for item in node.value]
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, depth, reading)
        raise self._refused(node, f"the tag {node.tag!r} means nothing here; write plain YAML")

    def _scalar(self, node: yaml.ScalarNode, *, text: bool) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind in {"str", "merge"} or (text and kind in _PLAIN):
            return self._text(node)
        if kind == "bool":
            return str(node.value).lower() == "true"
        if kind not in _PLAIN:
            raise self._refused(node, f"the tag {node.tag!r} means nothing here; write plain YAML")
        return self._number(node, kind)

    def _text(self, node: yaml.ScalarNode) -> str:
        text = str(node.value)
        if not _HALF_A_PAIR.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise self._refused(node, "half a letter is written as \\u; write it out") from error

    def _number(self, node: yaml.ScalarNode, kind: str) -> int | float | str:
        try:
            number = int(node.value) if kind == "int" else float(node.value)
        except ValueError as error:  # an explicit tag on what is none
            raise self._refused(node, f"{node.value[:40]!r} is no number") from error
        return number if math.isfinite(number) else self._text(node)

    def _mapping(self, node: yaml.MappingNode, depth: int, reading: _As) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged = {**self._merged(value_node, depth, reading), **merged}
                continue
            key = self._key(key_node)
            if key in own:
                raise self._refused(key_node, f"{key!r} is given twice; keep one of them")
            own[key] = self.value(value_node, depth + 1, _below(key, value_node, reading))
        return {**merged, **own}

    def _merged(self, node: yaml.Node, depth: int, reading: _As) -> dict[str, Any]:
        """What `<<` takes in; of several mappings the first to have a key gives it."""
        found: dict[str, Any] = {}
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self.value(item, depth + 1, reading)
            if not isinstance(value, dict):
                raise self._refused(node, "'<<' takes a mapping, or a list of them")
            found = {**value, **found}
        return found

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refused(node, "a key must be a word, not a list or an object")
        return self._text(node)

    def _refused(self, node: yaml.Node, what: str) -> Rejected:
        return Rejected(f"{self._place}, line {node.start_mark.line + 1}: {what}")
