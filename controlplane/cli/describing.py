"""An object as text for people: what it is, what it should be, what it is doing, and why not more. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from controlplane.cli import kinds, older, output, worth
from controlplane.cli.kinds import Document, Kind, at, human_bytes


def described(kind: Kind, document: Document, now: datetime, *, colour: bool) -> str:
    """All that is known of the object; what it is doing and why comes last, where the eye ends."""
    return "\n".join(_lines(kind, document, now, colour=colour))


def _lines(kind: Kind, document: Document, now: datetime, *, colour: bool) -> Iterator[str]:
    metadata = document["metadata"]
    yield from _fields(
        {
            "Name": metadata["name"],
            "Kind": kind.name,
            "Labels": kinds.labels("metadata.labels")(document, now),
            "Annotations": kinds.labels("metadata.annotations")(document, now),
            "Created": _created(metadata.get("creationTimestamp"), now),
            "Generation": metadata.get("generation"),
        },
        0,
    )
    for title in ("spec", "status"):
        given = (document.get(title) or {}).items()
        shown = {key: value for key, value in given if isinstance(value, Mapping) or f"{title}.{key}" not in _LISTED}
        shown.pop("telemetry", None)  # tables below
        if not kinds.heard(document):
            shown.pop("framesPerSecond", None)  # of the last report, and none now
        if at(document, "spec.task") in worth.TASKS and title == "spec":
            shown["judged"] = worth.sentence(shown.get("judged"))
        if shown:
            yield from ("", title.capitalize())
            yield from _fields(shown, 2)
    for title, titles, rows in _tables(document, now):
        if rows:
            yield from ("", title, *(f"  {line}" for line in output.table(titles, rows, colour=colour).splitlines()))


def _created(moment: str | None, now: datetime) -> str:
    return f"{moment} ({_ago(moment, now)})" if moment else kinds.NONE


def _fields(values: Mapping[str, Any], indent: int) -> Iterator[str]:
    flat = dict(_flat(values))
    width = max((len(key) for key in flat), default=0) + 1
    for key, value in flat.items():
        yield f"{' ' * indent}{key + ':':<{width}}  {output.one_line(value)}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value):
                yield f"{name}[{number}]", ", ".join(f"{k}={v}" for k, v in item.items())
        else:
            yield name, _value(key, value)


def _value(key: str, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return kinds.NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("Bytes") and isinstance(value, int):
        return human_bytes(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _decision(name: str, told: Document) -> list[str]:
    routes = [f"{100 * told['routes'][route]:.0f} %" for route in _ROUTES]
    carries = told["linkBitsPerSecond"]
    link = f"{carries / 1e6:.1f} Mbit/s, {1000 * told['linkSeconds']:.0f} ms" if carries else kinds.NONE
    price = f"{told['prices']['bits']:.2f}/Mbit" if "bits" in told["prices"] else kinds.NONE
    why = f"{told['why']}. {told['rungWhy']}" if told["rung"] == "lower_rate" else told["why"]
    return [name, told["rung"] or kinds.NONE, *routes, f"{100 * told['load']:.0f} %", link, price, why]


def _shadow(node: str, told: Document) -> list[str]:
    answered = older.answered(told)
    agreed = f"{100 * older.agreed_share(told):.1f} %" if answered else kinds.NONE
    times = [f"{1000 * told[key]:.1f} ms" if answered else kinds.NONE for key in ("inferSeconds", "activeInferSeconds")]
    seen = [str(answered + told["failed"]), agreed, str(told["failed"])]
    return [node, _short(told["digest"]), *seen, *times, told["message"]]


@dataclass(frozen=True)
class _Table:
    """One list of an object; `row` gives an item's cells, or none where it has no place in the table."""

    title: str
    headings: tuple[str, ...]
    path: str
    row: Callable[[Document, datetime], list[str]]


_ROUTES = ("local", "small", "cloud", "hedge", "shed")
_FIGURES = ("accepted", "stored", "dropped", "waiting", "unaccounted")
_CAMERAS = _Table(
    "Cameras",
    ("NAME", "STATE", "FPS/DUE", "REASON"),
    "status.cameras",
    lambda item, _: [item["name"], item["state"], f"{item['framesPerSecond']:.1f}", item["reason"]],
)
_TABLES = (
    _Table(
        "Settings",
        ("NAME", "TYPE", "DEFAULT", "WHAT"),
        "spec.settings",
        lambda item, _: [item["name"], item["type"], _value("", item["default"]), item["help"]],
    ),
    _Table(
        "Boxes",
        ("NODE", "STEP", "STATE", "DIGEST", "VARIANT", "METADATA", "MESSAGE"),
        "status.boxes",
        lambda item, now: [
            *(item["node"], item["step"], item["state"] or kinds.NONE, _short(item["activeDigest"])),
            *(item.get("variant") or kinds.NONE, _ago(at(item, "trust.refreshed"), now), item["message"]),
        ],
    ),
    _Table(
        "Shadow",
        ("NODE", "DIGEST", "FRAMES", "AGREED", "FAILED", "ONE FRAME", "ACTIVE", "MESSAGE"),
        "status.boxes",
        lambda item, _: _shadow(item["node"], item["shadow"]) if item.get("shadow") else [],
    ),
    _Table(
        "Deployments",
        ("NAME", "STATE", "ACTIVE", "VARIANT", "CALL OF N", "TARGET", "MESSAGE"),
        "status.deployments",
        lambda item, _: [
            *(item["name"], item["state"], _short(item["activeDigest"]), item.get("variant") or kinds.NONE),
            *(worth.cost(item.get("cost")), _short(item["targetDigest"]), item["message"]),
        ],
    ),
    _Table(
        "What its variants are worth", worth.VARIANTS, "spec.judged.variants", lambda item, _: worth.variant_row(item)
    ),
    _Table("Worth, sent as JPEG", worth.JPEGS, "spec.judged.jpeg", lambda item, _: worth.jpeg_row(item)),
    _Table(
        "Deciding, last frames",
        ("DEPLOYMENT", "RUNG", *(route.upper() for route in _ROUTES), "LOAD", "LINK", "PRICE", "WHY"),
        "status.deployments",
        lambda item, _: _decision(item["name"], item["decision"]) if item.get("decision") else [],
    ),
    _CAMERAS,
    _Table(
        "Answering, last minute",
        ("CAMERA", "DEPLOYMENT", "RELEASE", "DEADLINE", "IN TIME", "ONE FRAME", "P95", "MESSAGE"),
        "status.answering",
        lambda item, _: _answering(item),
    ),
    _Table("Problems", ("CODE", "MESSAGE"), "status.problems", lambda item, _: [item["code"], item["message"]]),
    _Table(
        "Telemetry",
        ("CLASS", "ACCEPTED", "STORED", "DROPPED", "WAITING", "UNACCOUNTED", "OLDEST WAITING", "STATE"),
        "status.telemetry.classes",
        lambda item, now: [
            *(item["recordClass"] or "all", *(str(item[key]) for key in _FIGURES)),
            *(_ago(item["oldestWaiting"], now), item["state"]),
        ],
    ),
    _Table(
        "Telemetry declared dropped",
        ("CLASS", "RECORDS", "GAPS", "LAST", "REASON"),
        "status.telemetry.dropped",
        lambda item, now: [
            *(item["recordClass"], f"{'≥ ' if item['lowerBound'] else ''}{item['records']}", str(item["gaps"])),
            *(_ago(item["at"], now), item["reason"]),
        ],
    ),
    _Table(
        "Telemetry link",
        ("STATE", "LAST HEARD", "WHY"),
        "status.telemetry.link",
        lambda item, now: [item["state"], _ago(item["since"], now), item["sentence"] or kinds.NONE],
    ),
    _Table(
        "Identity conflicts",
        ("KIND", "LAST", "MEANING"),
        "status.telemetry.conflicts",
        lambda item, now: [item["kind"], _ago(item["at"], now), item["sentence"]],
    ),
    _Table(
        "Telemetry dropped within a day",
        ("CLASS", "RECORDS", "LAST", "REASON"),
        "status.gaps",
        lambda item, now: [item["recordClass"], str(item["dropped"]), _ago(item["at"], now), item["reason"]],
    ),
    _Table(
        "Conditions",
        ("TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"),
        "status.conditions",
        lambda item, now: [
            *(item["type"], item["status"], _ago(item["lastTransitionTime"], now), item["reason"], item["message"])
        ],
    ),
)
_LISTED = {each.path for each in _TABLES}
_SINGLE = {"status.telemetry.link"}  # a table of one row


def _tables(document: Document, now: datetime) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    for table in _TABLES if kinds.heard(document) else map(partial(_last_heard, document, now), _TABLES):
        found = at(document, table.path, [])
        items = [found] if found and table.path in _SINGLE else found
        rows = [table.row(item, now) for item in items] if isinstance(items, list) else []
        yield table.title, table.headings, list(filter(None, rows))


def _last_heard(document: Document, now: datetime, table: _Table) -> _Table:
    """Of a box that is not heard: no camera of it has a rate now."""
    if table is not _CAMERAS:
        return table
    title = f"Cameras as last heard {_ago(at(document, 'status.lastSeen'), now)}"
    return replace(table, title=title, row=lambda item, _: [item["name"], item["state"], kinds.NONE, item["reason"]])


def _answering(item: Document) -> list[str]:
    looked_at = older.looked_at(item)
    in_time = f"{100 * item['inTime'] / looked_at:.0f} %" if looked_at else kinds.NONE
    times = [item[key] for key in ("frameSeconds", "latencyP95Seconds")]
    measured = [f"{1000 * seconds:.0f} ms" if seconds else kinds.NONE for seconds in times]
    deadline = f"{1000 * item['deadlineSeconds']:.0f} ms"
    return [*(item[key] for key in ("camera", "deployment", "release")), deadline, in_time, *measured, item["trouble"]]


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or kinds.NONE


def _ago(moment: str | None, now: datetime) -> str:
    return kinds.elapsed((now - datetime.fromisoformat(moment)).total_seconds()) + " ago" if moment else kinds.NONE
