"""Every page people see, and the three fleets it is looked at with: nobody joined yet, all well, a bad day.

`python -m tests.sim.screenshots` shows them, the browser tests hold what is true of all of them. A new page is a line
in PAGES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from controlplane.fleet.reports import DecisionReport
from tests.sim import books_data, office, run_data
from tests.sim.page_server import PageServer, page_server, ticking

ALL = ("empty", "healthy", "degraded")
PEOPLED = ("healthy", "degraded")


@dataclass(frozen=True)
class Shown:
    """`path` may name what the simulated fleet has."""

    name: str
    path: str
    states: tuple[str, ...] = ALL
    open: str = ""  # a dialog to look at, too: the selector of what opens it


PAGES = (
    Shown("fleet", "/"),
    Shown("cameras", "/cameras"),
    Shown("node", "/nodes/north-quay", PEOPLED),
    Shown("camera", "/cameras/crane", PEOPLED),
    Shown("add-box", "/", ("empty",), open="[data-dialog=add-box]"),
    Shown("zones", "/cameras/gate", ("healthy",), open="[data-dialog=zones]"),
    Shown("lines", "/cameras/gate", ("healthy",), open="[data-dialog=lines]"),
    Shown("deployments", "/deployments"),
    Shown("deployment", "/deployments/harbour-watch", PEOPLED),
    Shown("deployment-roll", "/deployments/harbour-watch", ("healthy",), "[data-dialog=move-1]"),
    Shown("deploy", "/deploy"),
    Shown("deploy-terms", "/deploy", ("healthy",), "#terms > summary"),
    Shown("edit-deployment", "/deployments/harbour-watch/edit", ("healthy",)),
    Shown("models", "/models"),
    Shown("model", "/models/harbour", ("healthy",)),
    Shown("releases", "/releases", ("empty", "healthy")),
    Shown("release", "/releases/harbour-1-1-0", ("healthy",)),
    Shown("difference", "/difference?from=harbour-1-0-0&to=harbour-1-1-0", ("healthy",)),
    Shown("runs", "/runs"),
    Shown("run", "/runs/harbour-2", ("healthy",)),
    Shown("run-failed", "/runs/detector-1", ("healthy",)),
    Shown("recipes", "/train", ("healthy",)),
    Shown("train", "/train?recipe=harbour", ("healthy",)),
    Shown("events", "/events"),
    Shown("events-filtered", "/events?label=boat&zone=entry&minScore=0.9&since=1h", ("healthy",)),
    Shown("gaps", "/gaps"),
    Shown("gaps-filtered", "/gaps?node=south-quay&class=debug&since=24h", ("degraded",)),
    Shown("join-tokens", "/tokens", ("empty", "healthy")),
    Shown("new-join-token", "/tokens", ("healthy",), "[data-dialog=new]"),
    Shown("api-tokens", "/tokens/api", ("empty", "healthy")),
    Shown("people", "/people", ("empty", "healthy")),
    Shown("settings", "/settings", ("empty", "healthy")),
    Shown("apply", "/apply", ("healthy",)),
    Shown("apply-camera", "/apply?of=cameras/crane", ("healthy",)),
)


CALM = DecisionReport(
    600,
    local=1.0,
    load=0.62,
    bits_per_second=8.4e6,
    rtt_seconds=0.031,
    bits_left=500e6,
    prices={"bits": 0.0},
    rung="cpu",
    rung_why="It runs on cpu, as was asked for.",
    why="the box is asked for 62 % of what it can infer, and answers all itself",
)
BUSY = replace(
    CALM,
    local=0.38,
    cloud=0.51,
    hedge=0.05,
    shed=0.06,
    load=2.4,
    bits_left=31e6,
    money_left=1.37,
    prices={"bits": 0.43, "money": 0.08},
    why="the box is asked for 240 % of what it can infer: 56 % is sent to the cloud and 6 % is given up since other "
    "frames are worth more",
)


def empty(_server: PageServer) -> None:
    """Nobody joined yet."""


def healthy(server: PageServer) -> None:
    server.fleet.join()
    server.fleet.decisions = {"north-quay": CALM}
    office.furnish(server.fleet)
    run_data.play(server.services, server.executor)
    server.fleet.report()  # all boxes have heard of what was furnished
    server.fleet.history()
    server.fleet.tick()
    books_data.furnish(server.services)


def degraded(server: PageServer) -> None:
    server.fleet.join()
    server.fleet.decisions = {"north-quay": BUSY}
    office.furnish(server.fleet)
    run_data.play(server.services, server.executor)
    server.fleet.report()
    server.fleet.show()  # the newest picture of the camera that will fail
    server.fleet.degrade()
    server.fleet.history()
    server.fleet.tick()
    books_data.furnish(server.services, badly=True)


STATES: Mapping[str, Callable[[PageServer], None]] = {"empty": empty, "healthy": healthy, "degraded": degraded}


@contextmanager
def servers(folder: Path, seconds: float = 2.0) -> Iterator[Mapping[str, PageServer]]:
    """One of each state, their fleets talking on."""
    with ExitStack() as stack:
        found = {}
        for state, prepare in STATES.items():
            (folder / state).mkdir()
            server = found[state] = stack.enter_context(page_server(folder / state))
            prepare(server)
            if state != "empty":
                stack.enter_context(ticking(server.fleet, seconds))
        yield found
