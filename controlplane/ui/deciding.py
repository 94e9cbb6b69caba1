"""How a box decides about the frames of each deployment: where they go, against what, at which prices, why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.fleet import terms
from controlplane.ui import figures
from controlplane.ui.decided import PRICE_WORDS, RUNG_WORDS
from controlplane.ui.documents import name_of
from controlplane.ui.page import Document, Value

# In the order of a bar; the colour is that of the outcome that it leads to.
ROUTES: tuple[tuple[str, str, str, str], ...] = (
    ("local", "ok_local", "local", "answered by the box"),
    ("small", "stale_track", "small", "answered by the box, by a smaller size of the model"),
    ("cloud", "ok_cloud", "cloud", "sent to a cloud node"),
    ("hedge", "ok_hedge", "hedge", "sent to a cloud node, and run here too"),
    ("shed", "shed", "shed", "given up"),
)
_RUNGS = {key: word for key, word, _ in RUNG_WORDS}
_PRICES = {key: word for key, word, _ in PRICE_WORDS}
_IS = {"nothing": "bad", "lower_rate": "attention", "cloud": "attention", "other": "attention", "": "none"}
_NOTHING: Document = {
    "frames": 0,
    "routes": {},
    "load": 0.0,
    "linkBitsPerSecond": 0,
    "prices": {},
    "rung": "",
    "rungWhy": "",
    "why": "",
}


def values(node: Document, deployments: Iterable[Document]) -> dict[str, Value]:
    """By key under decides.DEPLOYMENT, of what the box reports."""
    wanted = {name_of(item): item["spec"] for item in deployments}
    offline = node["status"]["phase"] != "Online"
    found: dict[str, Value] = {}
    for report in node["status"]["deployments"]:
        told = None if offline else report.get("decision")
        of_one = _values(told or _NOTHING, wanted.get(report["name"], {}))
        found |= {f"decides.{report['name']}.{key}": value for key, value in of_one.items()}
    return found


def shown(node: Document) -> list[str]:
    """Deployments that a page says this of."""
    return [report["name"] for report in node["status"]["deployments"] if report.get("decision")]


def _values(told: Document, spec: Mapping[str, Any]) -> dict[str, Value]:
    shares = [(outcome, 100 * told["routes"].get(route, 0.0)) for route, outcome, _, _ in ROUTES]
    carries = told["linkBitsPerSecond"]
    return {
        "bar": [[outcome, round(share, 2)] for outcome, share in shares if share],
        **{route: _percent(told, route) for route, *_ in ROUTES},
        **{f"{route}.went": told["routes"].get(route, 0.0) > 0 for route, *_ in ROUTES},
        "why": told["why"][:1].upper() + told["why"][1:],
        "rung": _RUNGS.get(told["rung"], "–"),
        "rungWhy": told["rungWhy"],
        "is": _IS.get(told["rung"], "ok"),
        "load": f"{100 * told['load']:.0f} %" if told["frames"] else "–",
        "loadIs": "bad" if told["load"] > 1 else "ok",
        "link": f"{figures.bit_rate(carries)}, {1000 * told['linkSeconds']:.0f} ms" if carries else "no cloud",
        "prices": _prices(told["prices"]),
        "left": _left(told, spec),
    }


def _percent(told: Document, route: str) -> str:
    return f"{100 * told['routes'].get(route, 0.0):.0f}" if told["frames"] else "–"


def _prices(told: Mapping[str, float]) -> str:
    said = [f"{word} {told[key]:.2f}" for key, word in _PRICES.items() if key in told]
    return " · ".join(said) or "–"


def _left(told: Document, spec: Mapping[str, Any]) -> str:
    """Of the budgets: bits of this minute, money of this day."""
    said = []
    if told.get("bitsLeft") is not None:
        said.append(f"{told['bitsLeft'] / 1e6:.1f} Mbit this minute")
    if told.get("moneyLeft") is not None:
        said.append(f"{told['moneyLeft']:.2f} {_currency(spec)} today")
    return " · ".join(said) or "–"


def _currency(spec: Mapping[str, Any]) -> str:
    amount, _, _ = str(spec.get("terms", {}).get("money", "")).rpartition("/")
    return amount.rpartition(" ")[2] or terms.USD
