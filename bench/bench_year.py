"""A year of a thousand boxes with ten cameras each: `python -m bench.bench_year [--quick] [--boxes N] [--json FILE]`.

88 million rows of hours (and as many of boxes as of a tenth of the cameras, and some hours of minutes) are made in
PostgreSQL, the first of the two lines, and a tenth of them in SQLite, the second. A control plane is started over each,
and asked over its real HTTP routes, one question after the other: the pages' charts of random boxes and cameras, and
questions of the API over random spans of the year.

- each page and question is answered within a second in 95 of 100 cases;
- an export of hours streams, as CSV and as Parquet: so many rows a second, and bounded memory.

The full form takes 25 GB of disk below TMPDIR (it looks for them before it begins, and frees them however it ends) and
half an hour on two cores; `--quick` is SQLite alone, ten boxes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from sqlalchemy import text

from agent.trial.tally import percentile
from bench.processes import pss_mb
from bench.telling import Result, proven
from bench.year.fill import SITES, Size, fill
from bench.year.plane import Plane, serving
from bench.year.progress import Progress
from controlplane.db import Database

LIMIT_SECONDS = 1.0
SEED = 2027
HOURS = 365 * 24
GROWTH_MB = 200.0  # of the control plane while it exports
ROW_BYTES = {"postgresql": 270, "sqlite": 230}  # of an hour of a camera, with all else; a twentieth more than it takes
LOG_BYTES = 1 << 30  # of a write-ahead log, at most
RESULT = Path(__file__).parent / "results" / "year.json"


@dataclass(frozen=True)
class Form:
    boxes: int
    cameras: int
    asked: int  # times each question
    databases: tuple[str, ...]
    minutes: int = 4 * 60


FULL = Form(1_000, 10, 40, ("postgresql", "sqlite"))
QUICK = Form(10, 4, 4, ("sqlite",), minutes=60)


@dataclass(frozen=True)
class World:
    """What random questions are about."""

    size: Size
    now: float  # Unix
    chance: random.Random

    def box(self) -> str:
        return self.size.box(self.chance.randrange(self.size.boxes))

    def camera(self) -> str:
        return self.size.camera(self.chance.randrange(self.size.boxes), self.chance.randrange(self.size.cameras))

    def span(self, days: float) -> str:
        """`since` and `until` of so long a span, somewhere in the year."""
        last = self.now - self.chance.random() * (365 - days) * 86_400
        return f"since={_moment(last - days * 86_400)}&until={_moment(last)}"


def _moment(unix: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))


Ask = Callable[[World], str]
_API = "/api/v1"


def _page(kind: str, span: str) -> Ask:
    return lambda world: (
        f"/nodes/{world.box()}?span={span}" if kind == "box" else f"/cameras/{world.camera()}?span={span}"
    )


def _outcomes(text: str) -> Ask:
    return lambda world: f"{_API}/outcomes?{_about(text, world)}"


def _metric(text: str) -> Ask:
    return lambda world: f"{_API}/telemetry?metric={_about(text, world)}"


def _about(text: str, world: World) -> str:
    """BOX, CAMERA and SITE are random ones, DAYS=N a span of so many somewhere in the year."""
    parts = [world.span(float(part[5:])) if part.startswith("DAYS=") else part for part in text.split("&")]
    words = {"BOX": world.box(), "CAMERA": world.camera(), "SITE": f"site%3Dsite-{world.chance.randrange(SITES)}"}
    found = "&".join(parts)
    for word, name in words.items():
        found = found.replace(word, name)
    return found


PAGES: Mapping[str, Ask] = {
    "fleet": lambda _: "/",
    **{f"box, {span}": _page("box", span) for span in ("3h", "1d", "7d", "30d", "1y")},
    **{f"camera, {span}": _page("camera", span) for span in ("3h", "7d", "1y")},
    "events": lambda world: f"/events?since=7d&node={world.box()}",
}
QUESTIONS: Mapping[str, Ask] = {
    "outcomes of a box, a year by week": _outcomes("node=BOX&since=364d&step=7d"),
    "outcomes of a camera, a month by 6 h": _outcomes("camera=CAMERA&DAYS=30&step=6h"),
    "outcomes of the fleet, a day by hour": _outcomes("DAYS=1&step=1h"),
    "p95 of a camera, a year by day": _metric("latency_seconds&camera=CAMERA&since=364d&step=1d"),
    "p99 of the cameras of a box, a week": _metric("latency_seconds&aggregate=p99&by=camera&node=BOX&DAYS=7"),
    "frames of the fleet by deployment, a week": _metric("frames&by=deployment&DAYS=7&step=6h"),
    "in time, of the boxes of a site, a month": _metric(
        "frames_in_time&aggregate=share&by=node&DAYS=30&step=1d&labelSelector=SITE"
    ),
    "frames of a deployment, two weeks": _metric("frames&deployment=watch&DAYS=14&step=1d"),
    "processor of a box, a year by day": _metric("cpu_cores&node=BOX&since=364d&step=1d"),
    "memory of a site, a week": _metric("memory_bytes&DAYS=7&step=6h&labelSelector=SITE"),
    "detections of a box, a week": lambda world: f"{_API}/detections?node={world.box()}&since=7d",
}


@dataclass(frozen=True)
class Measured:
    what: str
    p50: float
    p95: float
    max: float


def asked(plane: Plane, world: World, form: Form, cases: Mapping[str, Ask]) -> list[Measured]:
    """Seconds. In turns, so that what else the machine does meets all."""
    took: dict[str, list[float]] = {what: [] for what in cases}
    for _ in range(form.asked):
        for what, ask in cases.items():
            took[what].append(_seconds(plane.client, ask(world)))
    return [Measured(what, *(percentile(each, share) for share in (0.5, 0.95, 1.0))) for what, each in took.items()]


def _seconds(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    seconds = time.perf_counter() - began
    if not answer.is_success:
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")
    return seconds


def exported(plane: Plane, form: str, days: int) -> Result:
    before, most, size, began = pss_mb(plane.pid), 0.0, 0, time.perf_counter()
    with plane.client.stream("GET", f"{_API}/telemetry/export?format={form}&since={days}d") as answer:
        answer.raise_for_status()
        for number, piece in enumerate(answer.iter_bytes(1 << 20)):
            size += len(piece)
            if number % 8 == 0:
                most = max(most, pss_mb(plane.pid))
    seconds = time.perf_counter() - began
    rows = plane.size.boxes * plane.size.cameras * days * 24
    return {
        "rows": rows,
        "bytes": size,
        "rows_per_second": round(rows / seconds),
        "grew_mb": round(max(0.0, most - before), 1),
    }


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/year.db"
        return
    from tests.servers.postgres import USER, running

    room = {"shared_buffers": "1GB", "maintenance_work_mem": "512MB", "work_mem": "32MB"}
    log = {"max_wal_size": "512MB", "wal_level": "minimal", "max_wal_senders": "0"}
    with running(**room, **log) as server:
        yield f"postgresql+psycopg://{USER}@{server}/postgres"


def taken_bytes(opened: Database) -> dict[str, int]:
    """On disk, by the database itself and by its write-ahead log."""
    if opened.shared:
        asked = "SELECT pg_database_size(current_database()), (SELECT sum(size) FROM pg_ls_waldir())"
        with opened.read() as session:
            whole, log = session.execute(text(asked)).one()
        return {"database_bytes": int(whole), "log_bytes": int(log)}
    path = Path(str(opened.engine.url.database))
    files = {"database_bytes": path, "log_bytes": path.with_name(f"{path.name}-wal")}
    return {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}


def proven_on(kind: str, size: Size, form: Form, progress: Progress) -> Result:
    with tempfile.TemporaryDirectory() as place, database(kind, Path(place)) as url:
        now_ms, began = int(time.time() * 1000), time.perf_counter()
        opened = Database(url)
        fill(opened, size, now_ms, progress)
        filled, taken = time.perf_counter() - began, taken_bytes(opened)
        opened.close()
        world = World(size, now_ms / 1000, random.Random(SEED))
        with serving(Path(place) / "state", url, size) as plane:
            progress.say(f"{kind}: each page and question, {form.asked} times")
            for each in (PAGES, QUESTIONS):  # what Python compiles and the pool opens is no one's question
                asked(plane, world, Form(1, 1, 1, ()), each)
            pages, questions = (asked(plane, world, form, each) for each in (PAGES, QUESTIONS))
            progress.say(f"{kind}: exports")
            return {
                "rows": size.rows,
                "fill_seconds": round(filled),
                **taken,
                "pages": [asdict(each) for each in pages],
                "questions": [asdict(each) for each in questions],
                "export": {each: exported(plane, each, 1) for each in ("csv", "parquet")},
            }


def sizes(form: Form) -> dict[str, Size]:
    """Of each database: the first is the whole, the others are a tenth of it."""
    boxes = {kind: form.boxes if kind == form.databases[0] else max(1, form.boxes // 10) for kind in form.databases}
    return {kind: Size(each, form.cameras, HOURS, form.minutes) for kind, each in boxes.items()}


def lacking(form: Form, free: int) -> str:
    """What to say when so many bytes are too few; "": they are enough. One database is there at a time."""
    most = LOG_BYTES + max(size.rows * ROW_BYTES[kind] for kind, size in sizes(form).items())
    if most <= free:
        return ""
    return (
        f"{tempfile.gettempdir()} has {free / 1e9:.0f} GB left and this takes up to {most / 1e9:.0f} GB: free some, "
        "name another folder in TMPDIR, or take fewer --boxes"
    )


def prove(form: Form) -> Result:
    progress = Progress()
    found = {kind: proven_on(kind, size, form, progress) for kind, size in sizes(form).items()}
    return {
        "form": asdict(form),
        "seed": SEED,
        "limit_seconds": LIMIT_SECONDS,
        "databases": found,
        "missed": list(missed(found)),
    }


def missed(found: Mapping[str, Result]) -> Iterator[str]:
    for kind, told in found.items():
        for each in (*told["pages"], *told["questions"]):
            if each["p95"] > LIMIT_SECONDS:
                yield f"{kind}: {each['what']}: p95 is {each['p95']:.2f} s, of {LIMIT_SECONDS:g}"
        for form, export in told["export"].items():
            if export["grew_mb"] > GROWTH_MB:
                yield f"{kind}: an export as {form} took {export['grew_mb']} MB"


def table(result: Result) -> str:
    lines = []
    for kind, told in result["databases"].items():
        size, log = told["database_bytes"] / 1e9, told["log_bytes"] / 1e9
        head = f"{kind}: {told['rows']:,} hours of cameras, {size:.2f} GB and {log:.2f} GB of log"
        lines += [f"{head}, made in {told['fill_seconds']} s"]
        lines += [f"{'':<44}{'P50':>9}{'P95':>9}{'MAX':>9}"]
        lines += [
            f"{each['what']:<44}" + "".join(f"{1000 * each[name]:>6.0f} ms" for name in ("p50", "p95", "max"))
            for each in (*told["pages"], *told["questions"])
        ]
        lines += [
            f"export as {form}: {each['rows_per_second']:,} rows/s, {each['bytes'] / 1e6:.1f} MB,"
            f" memory +{each['grew_mb']} MB"
            for form, each in told["export"].items()
        ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="SQLite alone, some boxes: within a minute")
    parser.add_argument("--boxes", type=int, help="fewer than a thousand, or more")
    parser.add_argument("--database", choices=FULL.databases, help="only this")
    parser.add_argument("--json", type=Path, help="default: bench/results/year.json, nothing for a smaller form")
    given = parser.parse_args(words)
    form = QUICK if given.quick else FULL
    whole = not (given.quick or given.boxes or given.database)
    form = Form(
        given.boxes or form.boxes,
        form.cameras,
        form.asked,
        (given.database,) if given.database else form.databases,
        form.minutes,
    )
    if lacks := lacking(form, shutil.disk_usage(tempfile.gettempdir()).free):
        raise SystemExit(f"longshore: {lacks}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("longshore: told to end; what was made is removed"))
    path = given.json or (RESULT if whole else Path(tempfile.gettempdir()) / "year.json")
    return int(proven(lambda: prove(form), table, path))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
