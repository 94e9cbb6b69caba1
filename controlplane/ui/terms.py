"""The terms of a deployment, as its page says them and as its form has them: one text per field. Pure.

A form writes only what differs from the defaults, so that the file beside it stays short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.fleet import terms
from controlplane.ui.page import Document
from protos.errors import Rejected

_STANDARD: Document = terms.terms_to_spec(terms.AS_EVER)
_TEXTS = {"termsMoney": "money", "termsPower": "power", "termsCarbon": "carbon"}
_COSTS = {"termsData": "data", "termsCloud": "cloud", "termsGrid": "grid"}
_MAPS = {"termsValues": "values", "termsCameraValues": "cameraValues"}
LIMITS = {"money": "", "power": "", "carbon": " of CO2"}


def _pairs(worth: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in worth.items())


def fields_of(spec: Document) -> dict[str, Any]:
    """The form's fields; `written(fields_of(t))` says the same as `t`."""
    return {
        **{field: _pairs(spec[key]) for field, key in _MAPS.items()},
        **{field: spec[key] for field, key in _TEXTS.items()},
        **{field: spec["costs"][key] for field, key in _COSTS.items()},
        "termsFloorRate": f"{spec['floorRate']:g}",
        "termsSafety": spec["safety"],
        "termsStays": spec["stays"] if spec["stays"] == terms.ALL else ", ".join(spec["stays"]),
    }


DEFAULTS: Mapping[str, Any] = fields_of(_STANDARD)


def written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that the form stands for, without its defaults. Raises Rejected, naming the field."""
    told = {key: str(value).strip() for key, value in fields.items() if key.startswith("terms")}
    costs = {key: told[field] for field, key in _COSTS.items() if told.get(field)}
    spec = {
        **{key: _numbers(told.get(field, ""), key) for field, key in _MAPS.items()},
        **{key: told[field] for field, key in _TEXTS.items() if told.get(field)},
        "costs": {key: cost for key, cost in costs.items() if cost != terms.DEFAULT},
        "floorRate": _number(told.get("termsFloorRate") or DEFAULTS["termsFloorRate"], "floorRate"),
        "safety": bool(fields.get("termsSafety")),
        "stays": _stays(told.get("termsStays", "")),
    }
    return {key: value for key, value in spec.items() if value not in ({}, _STANDARD[key])}


def facts(spec: Document) -> list[tuple[str, str]]:
    """What the page of a deployment says; nothing of what is as it is by default."""
    worth = ", ".join(filter(None, (_pairs(spec["values"]), _pairs(spec["cameraValues"]))))
    limits = ", ".join(f"{spec[key]}{of}" for key, of in LIMITS.items() if spec[key] != terms.NONE)
    stays = "every camera" if spec["stays"] == terms.ALL else ", ".join(spec["stays"])
    floor = f"{spec['floorRate']:g} frames/s a camera" if spec["floorRate"] != _STANDARD["floorRate"] else ""
    safety = "prices do not apply" if spec["safety"] else ""
    told = {"Worth": worth, "Limits of a box": limits, "Stays on its box": stays, "Least rate": floor, "Safety": safety}
    return [(name, sentence) for name, sentence in told.items() if sentence]


def _numbers(text: str, key: str) -> dict[str, float]:
    pairs = [pair.rpartition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() for name, _, _ in pairs):
        raise Rejected(f"spec.terms.{key} must read NAME=NUMBER, such as gate=2, with commas between")
    return {name.strip(): _number(value, f"{key}.{name.strip()}") for name, _, value in pairs}


def _number(text: str, key: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Rejected(f"spec.terms.{key} must be a number, not {text.strip()!r}") from error


def _stays(text: str) -> str | list[str]:
    return terms.ALL if text == terms.ALL else [name.strip() for name in text.split(",") if name.strip()]
