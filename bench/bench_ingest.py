"""How fast telemetry is stored: `python -m bench.bench_ingest [--quick] [--json FILE]`.

- ingest's own transaction, with its books, on SQLite at least at half of what executemany reaches with the same rows,
  and on PostgreSQL at two fifths of what COPY straight into the table does; turn by turn, in the same run;
- at least 20,000 records a second from broker to commit, on one of the two databases, in messages of a hundred: real
  Mosquitto with TLS, one ingest process, and a hundred boxes, all on this machine;
- its memory stays below its inbox and what a process has anyway.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.ingest import broker, ceilings
from bench.telling import Result, proven
from tests.servers.postgres import Postgres

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
LEAST_RATIO = {SQLITE: 0.5, POSTGRES: 0.4}
LEAST_RATE = 20_000  # records a second, broker to commit
MOST_MB = 250.0  # the inbox may hold 64


@dataclass(frozen=True)
class Form:
    """How much is proven. `records`: stored in each round; `batches`: of each of a hundred boxes over the broker."""

    records: int = 50_000
    rounds: int = 9
    batches: int = 60
    repeats: int = 3  # of the way from broker to commit: its median counts
    least_rate: int = LEAST_RATE
    share: float = 1.0  # of the least ratios: of so few records chance takes some


QUICK = Form(records=10_000, rounds=3, batches=4, repeats=1, least_rate=0, share=0.6)


def prove(folder: Path, form: Form) -> Result:
    server = Postgres()
    server.start()
    try:
        names = [_database(server, name) for name in ("ours", "bare", *(f"way{turn}" for turn in range(form.repeats)))]
        stored = {
            SQLITE: ceilings.sqlite(folder, form.records, form.rounds),
            POSTGRES: ceilings.postgres(names[0], names[1], form.records, form.rounds),
        }
        ways: dict[str, list[Result]] = {SQLITE: [], POSTGRES: []}
        for turn, url in enumerate(names[2:]):
            ways[SQLITE].append(_way(folder / f"sqlite-{turn}", None, form))
            ways[POSTGRES].append(_way(folder / f"postgres-{turn}", url, form))
    finally:
        server.close()
    found = {"form": asdict(form), "stored": stored, "ways": {name: _median(each) for name, each in ways.items()}}
    return {**found, "missed": missed(found, form)}


def _database(server: Postgres, name: str) -> str:
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url.rpartition("/")[0] + f"/{name}"


def _way(folder: Path, url: str | None, form: Form) -> Result:
    folder.mkdir()
    return broker.throughput(folder, url or f"sqlite:///{folder / 'longshore.db'}", form.batches)


def _median(ways: list[Result]) -> Result:
    """That of the run in the middle, and the most memory of any."""
    ordered = sorted(ways, key=lambda each: each["records_per_second"])
    return {**ordered[len(ordered) // 2], "ingest_most_mb": max(each["ingest_most_mb"] for each in ways)}


def missed(found: Mapping[str, Any], form: Form) -> list[str]:
    said = [
        f"{name} stores at {each['ratio']:.2f} of its driver's rate"
        for name, each in found["stored"].items()
        if each["ratio"] < LEAST_RATIO[name] * form.share
    ]
    best = max(each["records_per_second"] for each in found["ways"].values())
    if best < form.least_rate:
        said.append(f"{best} records a second came from broker to commit")
    most = max(each["ingest_most_mb"] for each in found["ways"].values())
    if most > MOST_MB:
        said.append(f"ingest took {most} MB")
    return said


def table(found: Result) -> str:
    rows = [("", "records/s", "of the ceiling", "")]
    for name, each in found["stored"].items():
        least = f"at least {LEAST_RATIO[name]:.0%}"
        rows.append((f"{name}: a transaction of ingest", each["records_per_second"], f"{each['ratio']:.0%}", least))
        rows.append((f"{name}: the driver alone", each["ceiling"], "", ""))
    for name, each in found["ways"].items():
        cores = f"{each['ingest_cores']} cores, {each['ingest_most_mb']:.0f} MB"
        rows.append((f"{name}: broker to commit", each["records_per_second"], "", cores))
    return "\n".join(f"{name:40} {rate!s:>10}  {ratio:>14}  {more}" for name, rate, ratio, more in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few thousand records, and no limit on the rate")
    parser.add_argument("--json", type=Path, default=Path("bench/results/ingest.json"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: prove(Path(folder), form), table, options.json))


if __name__ == "__main__":
    main()
