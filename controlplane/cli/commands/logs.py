"""`longshore logs`: the newest lines of a box, sent while somebody looks; they are stored on the box only. Or of a Run.

The control plane keeps the last lines it got. Of a box that is offline they are old ones, and the command says so on
standard error. `-f` outlives a restart of the control plane, after which lines are numbered anew and sent again.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from time import monotonic, sleep
from typing import NoReturn

import click

from controlplane.cli import completing, kinds, output, session
from controlplane.cli.client import Client, Document, address
from controlplane.cli.patience import awaited
from controlplane.cli.training import RunLog
from protos.errors import Rejected, Retryable

EXAMPLES = """Newest log lines of a box, as it sends them while somebody looks; or of a Run.

\b
Examples:
  longshore logs quay-1
  longshore logs quay-1 -n 20
  longshore logs quay-1 -f                  go on until Ctrl-C
  longshore logs run/harbour-3 -f           go on until the Run is over
"""
_WAIT_SECONDS = 8  # of one request: the box opens its stream when it hears that somebody looks
_QUIET_SECONDS = 1  # after which a box that was reached has nothing more to send
_REMEMBERED = 1000  # lines already printed: twice what the control plane keeps of a box
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_FIELDS = ("time", "level", "logger", "message")


@click.command("logs", help=EXAMPLES)
@click.argument("node", metavar="NODE|run/NAME", shell_complete=completing.logged)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option(
    "-n", "--lines", "most", type=click.IntRange(1, 5000), default=100, show_default=True, help="At most so many."
)
def command(node: str, most: int, *, follow: bool) -> None:
    word, slash, name = node.partition("/")
    kind = kinds.named(word) if slash else None
    if kind is not None and kind.name not in {"Run", "Node"}:
        raise Rejected(f"a {kind.name} has no log; nodes and runs do: longshore logs NODE, longshore logs run/NAME")
    with session.client() as client:
        if kind is not None and kind.name == "Run":
            _show_run(RunLog(client, name), most, follow=follow)
        else:
            _show_node(client, name or node, most, follow=follow)


def _show_run(log: RunLog, most: int, *, follow: bool) -> None:
    for line in log.tail(most):
        click.echo(output.one_line(line))
    while follow and not log.over:
        for line in awaited(log.newer, sleep):
            click.echo(output.one_line(line))


def _show_node(client: Client, node: str, most: int, *, follow: bool) -> None:
    presence, lines = _Presence(client, node), _Lines(client, node)
    presence.tell()
    if follow:
        _follow(presence, lines, most)
    found = lines.newer(0) if presence.offline else lines.until_quiet()
    if not found:
        raise Retryable(f"{node} sent no line yet; is it online? See 'longshore describe node {node}'")
    _print(found[-most:])


def _follow(presence: _Presence, lines: _Lines, most: int) -> NoReturn:
    """Until Ctrl-C."""
    _print(lines.newer()[-most:])
    while True:
        found = awaited(lines.newer, sleep)
        _print(found)
        if not found:
            awaited(presence.tell, sleep)


class _Lines:
    """What a box sent, each line once."""

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._address = address("nodes", node, "logs")
        self._after = 0
        self._printed: deque[tuple[str, ...]] = deque(maxlen=_REMEMBERED)

    def newer(self, wait: float | None = None) -> list[Document]:
        """Lines that were not given yet. Raises Retryable."""
        try:
            lines = self._asked(self._after, _WAIT_SECONDS if wait is None else wait)
            if not lines and self._after and not self._asked(self._after - 1, 0):
                lines = self._asked(0, 0)  # it does not know the last one: it restarted and counts anew
        except Retryable:
            self._after = 0
            raise
        self._after = int(lines[-1]["number"]) if lines else self._after
        fresh = [line for line in lines if _key(line) not in self._printed]
        self._printed.extend(map(_key, fresh))
        return fresh

    def until_quiet(self) -> list[Document]:
        """What is kept of earlier looks, and what the box sends because of this one, line by line. Raises Retryable."""
        found, end = self.newer(), monotonic() + _WAIT_SECONDS
        while found and monotonic() < end and (more := self.newer(_QUIET_SECONDS)):
            found += more
        return found

    def _asked(self, after: int, wait: float) -> list[Document]:
        lines: list[Document] = self._client.document("GET", self._address, params={"after": after, "wait": wait})[
            "items"
        ]
        return lines


def _key(line: Document) -> tuple[str, ...]:
    return tuple(str(line[name]) for name in _FIELDS)


class _Presence:
    """Whether the box is there; said when it changes."""

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._node = node
        self.offline = False

    def tell(self) -> None:
        """Raises NotFound, Retryable."""
        document = self._client.one("nodes", self._node)
        offline = kinds.at(document, "status.phase") == "Offline"
        if offline and not self.offline:
            ago = kinds.since("status.lastSeen", " ago")(document, kinds.utc_now())
            moment = _moment(document["status"]["lastSeen"])
            click.echo(f"{self._node} is offline since {moment} ({ago}); its lines are from before then", err=True)
        elif self.offline and not offline:
            click.echo(f"{self._node} is online again", err=True)
        self.offline = offline


def _moment(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _print(lines: list[Document]) -> None:
    for line in lines:
        click.echo(_line(line))


def _line(line: Document) -> str:
    moment = datetime.fromisoformat(line["time"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    text = output.one_line(f"{moment} {line['level']:<7} {line['logger']}: {line['message']}")
    return click.style(text, fg=_COLOURS.get(line["level"])) if output.coloured() else text
