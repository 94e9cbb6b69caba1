"""The kinds of objects: how they are called on the command line and which columns their tables have. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controlplane.cli import habits
from protos.errors import Rejected
from protos.problems import pressing

Document = Mapping[str, Any]
Cell = Callable[[Document, datetime], str]
NONE = "-"


@dataclass(frozen=True)
class Column:
    title: str
    cell: Cell
    wide: bool = False  # only with -o wide


@dataclass(frozen=True)
class Kind:
    name: str  # as in documents
    plural: str  # as in URLs
    aliases: tuple[str, ...]
    columns: tuple[Column, ...]
    only: str = ""  # the one object there is, where there is one


def at(document: Document, path: str, default: Any = None) -> Any:
    """The value at a dotted path, or `default` where anything on the way is missing."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, Mapping) or value.get(key) is None:
            return default
        value = value[key]
    return value


def text(path: str) -> Cell:
    return lambda document, _: str(at(document, path, "") or NONE)


def number(path: str) -> Cell:
    return lambda document, _: str(at(document, path, 0))


def _right(document: Document, _: datetime) -> str:
    """Share of pictures that its best variant answers right, where somebody evaluated it."""
    shares = [each["right"] for each in at(document, "spec.judged.variants", [])]
    return f"{100 * max(shares):.1f} %" if shares else NONE


def condition(document: Document, name: str) -> Document:
    found = [item for item in at(document, "status.conditions", []) if item.get("type") == name]
    return found[0] if found else {}


def _state_of(name: str) -> Cell:
    """`True`, or the reason why not."""

    def cell(document: Document, _: datetime) -> str:
        item = condition(document, name)
        return "True" if item.get("status") == "True" else str(item.get("reason") or NONE)

    return cell


def _why(name: str) -> Cell:
    return lambda document, _: str(condition(document, name).get("message") or NONE)


def elapsed(seconds: float) -> str:
    """In the largest unit that says enough: `42s`, `7m`, `3h`, `12d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size or (unit == "d" and seconds >= size):
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def since(path: str, suffix: str = "") -> Cell:
    def cell(document: Document, now: datetime) -> str:
        moment = at(document, path)
        return elapsed((now - datetime.fromisoformat(moment)).total_seconds()) + suffix if moment else NONE

    return cell


def labels(path: str) -> Cell:
    return lambda document, _: ",".join(f"{k}={v}" for k, v in sorted(at(document, path, {}).items())) or NONE


def selector(path: str) -> Cell:
    def cell(document: Document, now: datetime) -> str:
        more = len(at(document, f"{path}.matchExpressions", []))
        chosen = labels(f"{path}.matchLabels")(document, now)
        return (chosen if chosen != NONE else "all") + (f" (+{more})" if more else "")

    return cell


def _boxes(document: Document, _: datetime) -> str:
    return f"{at(document, 'status.nodes.updated', 0)}/{at(document, 'status.nodes.desired', 0)}"


def heard(document: Document) -> bool:
    """Whether the box told of it lately; if not, the rates in its status are those of its last report."""
    phase, state = at(document, "status.phase"), at(document, "status.state")
    return phase in {None, "Online"} and state != "unknown"


def frames(document: Document) -> str:
    """Of a camera, per second: those that come and those that are due, under overload fewer than wanted."""
    coming = f"{at(document, 'status.framesPerSecond', 0):.1f}" if heard(document) else NONE
    wanted, lowered = f"{at(document, 'spec.rate', 0):g}", at(document, "status.loweredRate", None)
    return f"{coming}/{lowered:.3g} of {wanted}" if lowered else f"{coming}/{wanted}"


def _rate(document: Document, _: datetime) -> str:
    return frames(document)


def _size(document: Document, _: datetime) -> str:
    width, height = at(document, "status.width", 0), at(document, "status.height", 0)
    return f"{width}×{height}" if width else NONE


def _digest(path: str) -> Cell:
    return lambda document, _: str(at(document, path, "") or NONE).removeprefix("sha256:")[:12]


def _count(path: str) -> Cell:
    return lambda document, _: str(len(at(document, path, [])))


def _bytes(document: Document, _: datetime) -> str:
    total = sum(int(item.get("size", 0)) for item in at(document, "spec.files", []))
    return human_bytes(total) if total else NONE


def _signed(document: Document, _: datetime) -> str:
    """As which number; `-` also from a control plane of before 0.2."""
    number = at(document, "status.signed.number", 0)
    return f"#{number}" if number else NONE


def _summary(document: Document, _: datetime) -> str:
    """Of a recipe that cannot be used, why."""
    return str(at(document, "status.problem") or at(document, "spec.summary") or NONE)


def _done(document: Document, _: datetime) -> str:
    """Of a Run: its place in the queue, or how much of the training is done."""
    place = at(document, "status.position", 0)
    return f"{_ordinal(place)} in line" if place else f"{100 * at(document, 'status.progress.ratio', 0):.0f}%"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _loss(document: Document, _: datetime) -> str:
    loss = at(document, "status.progress.loss")
    return NONE if loss is None else f"{loss:.4g}"


def _metrics(document: Document, _: datetime) -> str:
    return (
        " ".join(f"{name}={value:.3f}" for name, value in at(document, "status.progress.metrics", {}).items()) or NONE
    )


def human_bytes(count: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


_NAME = Column("NAME", text("metadata.name"))
_AGE = Column("AGE", since("metadata.creationTimestamp"))
_LABELS = Column("LABELS", labels("metadata.labels"), wide=True)

KINDS = (
    Kind(
        "Node",
        "nodes",
        ("node", "no"),
        (
            _NAME,
            Column("ROLE", text("status.role")),
            Column("PHASE", text("status.phase")),
            Column("CONVERGED", _state_of("Converged")),
            Column("CAMERAS", _count("status.cameras")),
            Column("PROBLEMS", lambda document, _: str(len(pressing(at(document, "status.problems", []))))),
            Column("LAST SEEN", since("status.lastSeen", " ago")),
            _AGE,
            Column("GENERATION", text("status.generation"), wide=True),
            Column("VERSION", text("status.inventory.agentVersion"), wide=True),
            Column("OS", text("status.inventory.os"), wide=True),
            _LABELS,
        ),
    ),
    Kind(
        "Camera",
        "cameras",
        ("camera", "cam"),
        (
            _NAME,
            Column("NODE", text("spec.node")),
            Column("STATE", text("status.state")),
            Column("FPS/DUE", _rate),
            Column("PICTURE", _size),
            Column("SOURCE", text("spec.source")),
            _AGE,
            Column("WHY", _why("Ready"), wide=True),
            _LABELS,
        ),
    ),
    Kind(
        "Deployment",
        "deployments",
        ("deployment", "deploy"),
        (
            _NAME,
            Column("MODEL", text("spec.model")),
            Column("VERSION", text("spec.version")),
            Column("BOXES", _boxes),
            Column("CONVERGED", _state_of("Converged")),
            Column("DEADLINE", text("spec.objective.deadline")),
            Column("NODES", selector("spec.nodeSelector")),
            _AGE,
            Column("CAMERAS", selector("spec.cameraSelector"), wide=True),
            Column("CLOUD", selector("spec.cloudSelector"), wide=True),
            Column("WHY", _why("Converged"), wide=True),
        ),
    ),
    Kind("Model", "models", ("model",), (_NAME, Column("RELEASES", _count("status.releases")), _AGE)),
    Kind(
        "Release",
        "releases",
        ("release", "rel"),
        (
            _NAME,
            Column("MODEL", text("spec.model")),
            Column("VERSION", text("spec.version")),
            Column("TASK", text("spec.task")),
            Column("SIGNED", _signed),
            Column("SIZE", _bytes),
            Column("DIGEST", _digest("spec.digest")),
            _AGE,
            Column("RIGHT", _right, wide=True),
        ),
    ),
    Kind(
        "Person",
        "people",
        ("persons",),
        (
            _NAME,
            Column("ROLE", text("spec.role")),
            Column("SESSIONS", number("status.sessions")),
            Column("TOKENS", number("status.apiTokens")),
            Column("LAST SEEN", since("status.lastSeen", " ago")),
            _AGE,
            _LABELS,
        ),
    ),
    Kind(
        "Recipe",
        "recipes",
        ("recipe",),
        (
            _NAME,
            Column("TASK", text("spec.task")),
            Column("SETTINGS", _count("spec.settings")),
            Column("SUMMARY", _summary),
            Column("FOLDER", text("spec.folder"), wide=True),
        ),
    ),
    Kind(
        "Run",
        "runs",
        ("run",),
        (
            _NAME,
            Column("RECIPE", text("spec.recipe")),
            Column("MODEL", text("spec.model")),
            Column("VERSION", text("spec.version")),
            Column("PHASE", text("status.phase")),
            Column("PROGRESS", _done),
            Column("LOSS", _loss),
            _AGE,
            Column("METRICS", _metrics, wide=True),
            Column("RELEASE", text("status.release"), wide=True),
            Column("WHY", text("status.message"), wide=True),
        ),
    ),
    Kind(
        "Settings",
        "settings",
        ("setting",),
        (
            _NAME,
            Column("DETECTIONS", text("spec.detections.retention")),
            Column("TELEMETRY", text("spec.telemetry.retention")),
            Column("REGISTRY", text("spec.registry.quota")),
            Column("BOX RELEASES", text("spec.boxes.releases.quota")),
            Column("BOX OUTBOX", text("spec.boxes.outbox.quota")),
        ),
        only="fleet",
    ),
)
_BY_WORD = {word: kind for kind in KINDS for word in (kind.name.lower(), kind.plural, *kind.aliases)}
_ALL = ", ".join(kind.plural for kind in KINDS)
DETECTIONS = {"detections", "detection", "det"}  # no kind: they have no names, and are written by boxes
GAPS = {"gaps", "gap"}  # the same
_ORIGINS = {
    "Run": "made by 'longshore train'",
    "Recipe": "a folder on the control plane's machine",
}


def origin(kind: Kind) -> str:
    """Where an object comes from that nobody writes."""
    return _ORIGINS.get(kind.name, "made by 'longshore push'")


def named(word: str) -> Kind:
    """The kind a user means: `nodes`, `Node`, `cam`.

    Raises:
        Rejected: with the kinds there are.
    """
    kind = _BY_WORD.get(word.lower())
    if kind is not None:
        return kind
    if word.lower() in {"token", "tokens", "jointoken", "jointokens"}:
        raise Rejected("tokens have a command of their own; see 'longshore token --help'")
    if word.lower() in DETECTIONS:
        raise Rejected("detections can only be listed; see 'longshore get detections --help'")
    if word.lower() in GAPS:
        raise Rejected("gaps can only be listed; see 'longshore get gaps --help'")
    close = difflib.get_close_matches(word.lower(), _BY_WORD, n=1)
    hint = habits.kind(word) or (f"did you mean {_BY_WORD[close[0]].plural}?" if close else f"there are {_ALL}")
    raise Rejected(f"there is no kind {word!r}; {hint}")


def split(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A word for a kind and names of it: `camera gate berth`, or `camera/gate camera/berth` as `-o name` prints them.

    Raises:
        Rejected: names of several kinds.
    """
    word, slash, name = words[0].partition("/")
    if not slash:
        return word, tuple(words[1:])
    pairs = [each.rpartition("/") for each in words[1:]]
    other = next((kind for kind, _, _ in pairs if kind and named(kind) is not named(word)), None)
    if other:
        raise Rejected(f"{word} and {other} are two kinds; name one kind at a time")
    return word, (name, *(each for _, _, each in pairs))


def row(kind: Kind, document: Document, now: datetime, *, wide: bool) -> list[str]:
    return [column.cell(document, now) for column in kind.columns if wide or not column.wide]


def titles(kind: Kind, *, wide: bool) -> list[str]:
    return [column.title for column in kind.columns if wide or not column.wide]


def utc_now() -> datetime:
    return datetime.now(UTC)
