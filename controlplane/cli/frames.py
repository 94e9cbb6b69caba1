"""Why a frame went where it went, as text for people: what was weighed, and one sentence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from controlplane.cli import output
from controlplane.cli.client import Document
from protos.errors import Rejected
from protos.outcomes import WORDS, Outcome

_NAMED = re.compile(r"(?:(?P<node>[^/#]+)/)?(?P<camera>[^/#]+)(?:#(?P<seq>[0-9]{1,18}))?")
_TITLES = ("ACTION", "WORTH", "ON TIME", "PRICE", "SCORE", "WHY NOT")
CHOSEN = "-"  # in the last column
_UP = ("cloud", "hedge")  # ways of a frame beside which the box may run a copy; a second answer comes after the box's


@dataclass(frozen=True)
class FrameName:
    camera: str
    node: str = ""  # "": whichever the camera is on
    seq: int = 0  # 0: the newest that ended


def named(text: str) -> FrameName:
    """Raises Rejected."""
    found = _NAMED.fullmatch(text)
    if found is None:
        raise Rejected(f"{text!r} names no frame; write NODE/CAMERA#NUMBER, such as quay-1/gate#1234, or CAMERA alone")
    return FrameName(found["camera"], found["node"] or "", int(found["seq"] or 0))


def told(document: Document, *, colour: bool) -> str:
    """All accounts of the frame: one for each deployment that it was for."""
    head = f"{document['node']}/{document['camera']}"
    return "\n\n".join("\n".join(_lines(head, account, colour=colour)) for account in document["accounts"])


def _lines(head: str, account: Document, *, colour: bool) -> Iterator[str]:
    yield output.one_line(f"{head}#{account['seq']} for {account['deployment']}, {_ending(account)}")
    yield ""
    if account["scores"]:
        yield output.table(_TITLES, [_row(score) for score in account["scores"]], colour=colour)
        yield ""
    yield output.one_line(account["why"])
    if account["size"] or account["whySize"]:
        yield output.one_line(_size(account))
    if account["features"]:
        yield output.one_line(
            "It met " + ", ".join(f"{name} {value:.4g}" for name, value in account["features"].items())
        )


def _row(score: Document) -> list[str]:
    numbers = [f"{score[name]:.3f}" for name in ("price", "score")]
    return [score["action"], f"{score['worth']:.3f}", f"{score['onTime']:.0%}", *numbers, score["whyNot"] or CHOSEN]


def _ending(account: Document) -> str:
    known = account["outcome"] in tuple(Outcome)
    outcome = WORDS[Outcome(account["outcome"])] if known else account["outcome"]
    where = f" by {account['ranOn']}" if account["ranOn"] not in ("", "local") else ""
    sent = f", {account['uplinkBytes'] / 1000:.1f} kB sent" if account["uplinkBytes"] else ""
    return f"captured {_moment(account['captured'])}: {outcome}{where} after {account['latencyMs']:.0f} ms{sent}"


def _size(account: Document) -> str:
    """Of the model, where the box ran it; beside a picture that went up, what became of that copy."""
    why = f", as in a larger one: {account['whySize']}" if account["whySize"] else ""
    size = f"in the size {account['size'] or 'that there is'}{why}"
    if account["chosen"] not in _UP:
        return f"It was run {size}."
    if account["ranOn"] in ("", "local"):
        return f"It was also run on the box, {size}."
    if "confidence" in account["features"]:  # of the box's answer: that was first, and kept in hand
        return f"It was also run on the box, {size}; the cloud's answer was waited for, and told."
    return f"It was also started on the box, {size}; the cloud was first."


def _moment(moment: str | None) -> str:
    if moment is None:
        return "some time ago"
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S.%f")[:-3]
