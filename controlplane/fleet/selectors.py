"""Label selectors: `a=b,c!=d,e,!f,g in (x,y),h notin (z)`, and the `{matchLabels, matchExpressions}` form of a spec.

A selector is a conjunction; an empty one selects everything. `c!=d` and `notin` also select what lacks the label, as
in Kubernetes. `parse(str(s)) == s` for every selector.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from protos.errors import Rejected

MOST_LABELS = 64  # of one object
MOST_REQUIREMENTS = 64  # of one selector in a spec: each is asked of each object whenever a box reports
MOST_VALUES = 256  # of one requirement
# Kubernetes' rules, so that labels can be carried over.
_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_TERM = re.compile(r"\s*((?:[^,()]|\([^()]*\))+)\s*(?:,|$)")

T = TypeVar("T")
Labels = Mapping[str, str]


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    ABSENT = "DoesNotExist"


@dataclass(frozen=True)
class Requirement:
    key: str
    operator: Operator
    values: tuple[str, ...] = ()  # sorted, without repeats

    def holds(self, labels: Labels) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.ABSENT:
                return self.key not in labels

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
        if len(self.values) == 1:
            return f"{self.key}{'=' if self.operator is Operator.IN else '!='}{self.values[0]}"
        return f"{self.key} {self.operator.value.lower()} ({','.join(self.values)})"


@dataclass(frozen=True)
class Selector:
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()


class Labelled(Generic[T]):
    """Things with their labels. What a selector matches is found by one label that it wants, not by a look at all."""

    def __init__(self, things: Iterable[tuple[Labels, T]]) -> None:
        self._all = list(things)
        self._by: dict[tuple[str, str], list[tuple[Labels, T]]] = defaultdict(list)
        for labels, thing in self._all:
            for label in labels.items():
                self._by[label].append((labels, thing))

    def matching(self, selector: Selector) -> list[T]:
        """In no order that means anything."""
        wanted = next((each for each in selector.requirements if each.operator is Operator.IN), None)
        near = self._all
        if wanted is not None:
            near = [found for value in wanted.values for found in self._by.get((wanted.key, value), ())]
        return [thing for labels, thing in near if selector.matches(labels)]


def parse(text: str) -> Selector:
    """The selector written as `text`.

    Raises:
        Rejected: naming the term that is wrong.
    """
    found: list[Requirement] = []
    at = 0
    while at < len(text.rstrip()):
        term = _TERM.match(text, at)
        if not term:
            raise Rejected(f"label selector {text!r} is not understood; write it as 'site=harbour,gpu!=none'")
        found.append(_requirement(term.group(1).strip()))
        at = term.end()
    return Selector(tuple(found))


def _requirement(term: str) -> Requirement:
    if in_set := _SET.fullmatch(term):
        operator = Operator.IN if in_set["operator"] == "in" else Operator.NOT_IN
        return _checked(in_set["key"], operator, [value.strip() for value in in_set["values"].split(",")])
    for sign, operator in (("!=", Operator.NOT_IN), ("==", Operator.IN), ("=", Operator.IN)):
        key, found, value = term.partition(sign)
        if found:
            return _checked(key.strip(), operator, [value.strip()])
    if term.startswith("!"):
        return _checked(term[1:].strip(), Operator.ABSENT, [])
    return _checked(term, Operator.EXISTS, [])


def _checked(key: str, operator: Operator, values: list[str]) -> Requirement:
    label_key(key)
    for value in values:
        label_value(key, value)
    return Requirement(key, operator, tuple(sorted(set(values))))


def from_spec(spec: object, where: str = "selector") -> Selector:
    """The selector of a spec: `{"matchLabels": {...}, "matchExpressions": [...]}`; None and {} select everything.

    Raises:
        Rejected: naming the field that is wrong.
    """
    if spec is None:
        return EVERYTHING
    if not isinstance(spec, Mapping):
        raise Rejected(f"{where} must be an object with matchLabels and matchExpressions")
    for field in sorted(set(spec) - {"matchLabels", "matchExpressions"}):
        raise Rejected(f"{where}.{field} is no field here; there are matchExpressions, matchLabels")
    equal = labels({} if spec.get("matchLabels") is None else spec["matchLabels"], f"{where}.matchLabels")
    return Selector(
        (
            *(Requirement(key, Operator.IN, (value,)) for key, value in sorted(equal.items())),
            *_expressions(spec.get("matchExpressions"), where),
        )
    )


def _expressions(items: object, where: str) -> list[Requirement]:
    if items is None:
        return []
    if not isinstance(items, list):
        raise Rejected(f"{where}.matchExpressions must be a list")
    if len(items) > MOST_REQUIREMENTS:
        raise Rejected(f"{where}.matchExpressions: {len(items)} are more than the {MOST_REQUIREMENTS} allowed")
    return [_expression(item, where) for item in items]


def _expression(item: object, where: str) -> Requirement:
    if not isinstance(item, Mapping) or set(item) - {"key", "operator", "values"}:
        raise Rejected(f"{where}.matchExpressions: each needs key, operator and, for In and NotIn, values")
    try:
        operator = Operator(item.get("operator", ""))
    except ValueError as error:
        raise Rejected(f"{where}.matchExpressions: operator must be one of {', '.join(Operator)}") from error
    values = item.get("values") or []
    needs_values = operator in {Operator.IN, Operator.NOT_IN}
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Rejected(f"{where}.matchExpressions: values must be a list of strings")
    if len(values) > MOST_VALUES:
        raise Rejected(f"{where}.matchExpressions: {len(values)} values are more than the {MOST_VALUES} allowed")
    if bool(values) is not needs_values:
        raise Rejected(f"{where}.matchExpressions: {operator} {'needs' if needs_values else 'takes no'} values")
    return _checked(str(item.get("key", "")), operator, values)


def to_spec(selector: Selector) -> dict[str, object]:
    """The inverse of `from_spec`; a requirement with one equal value is written as a match label where it can be."""
    equal: dict[str, str] = {}
    rest: list[dict[str, object]] = []
    for item in selector.requirements:
        if item.operator is Operator.IN and len(item.values) == 1 and item.key not in equal:
            equal[item.key] = item.values[0]
        else:
            values = {"values": list(item.values)} if item.values else {}
            rest.append({"key": item.key, "operator": item.operator.value, **values})
    return {"matchLabels": equal, **({"matchExpressions": rest} if rest else {})}


def labels(value: object, where: str = "metadata.labels") -> dict[str, str]:
    """`value` as labels.

    Raises:
        Rejected: not a mapping of label keys to label values, or too many of them.
    """
    if not isinstance(value, Mapping):
        raise Rejected(f"{where} must be an object of strings")
    if len(value) > MOST_LABELS:
        raise Rejected(f"{where}: {len(value)} labels are more than the {MOST_LABELS} allowed")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise Rejected(f"{where} must be an object of strings; put quotes round {key}: {text}")
        label_key(key)
        label_value(key, text)
    return dict(value)


def label_key(key: str, what: str = "label") -> None:
    """Raises Rejected, with the rule."""
    if not _KEY.fullmatch(key):
        raise Rejected(
            f"{what} key {key!r} must be at most 63 letters, digits, '.', '_' and '-', starting with a letter or "
            "digit; a prefix such as 'example.com/' may stand before it"
        )


def label_value(key: str, value: str) -> None:
    """Raises Rejected, with the rule."""
    if not _VALUE.fullmatch(value):
        raise Rejected(f"label {key}={value!r}: a value is at most 63 letters, digits, '.', '_' and '-'")
