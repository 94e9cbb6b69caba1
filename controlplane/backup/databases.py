"""The database into a file and back: SQLite by its online backup, PostgreSQL by pg_dump and psql.

Both give the state of one moment while others write. PostgreSQL's programs must be those of the server's version or
newer, so they are the system's and not ours.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from protos.errors import Fatal, Rejected, Retryable

PAGES = 256  # copied at a time, others write in between: a megabyte
_NAMED = "SELECT digest FROM release_files UNION SELECT digest FROM releases"
_TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
_REVISION = "SELECT version_num FROM alembic_version"

Progress = Callable[[int, int], None]  # bytes done, of so many


class Store(Protocol):
    @property
    def kind(self) -> str: ...

    def save(self, target: Path, progress: Progress) -> None:
        """Raises Rejected (there is none), Retryable, Fatal."""
        ...

    def revision(self) -> str: ...

    def named(self) -> set[str]:
        """Digests (hex) of the files that its releases are made of."""
        ...

    def check_empty(self) -> None:
        """Raises Rejected when something is in it."""
        ...

    def load(self, source: Path) -> None:
        """Everything or nothing. Raises Fatal."""
        ...


def store(url: str) -> Store:
    """Raises Rejected for a database that is neither."""
    if url.startswith("sqlite:///"):
        return SqliteFile(Path(url.removeprefix("sqlite:///")))
    if url.startswith("postgresql"):
        return Postgres(url)
    raise Rejected("the database URL must be sqlite:///path or postgresql+psycopg://user@host/name")


@dataclass(frozen=True)
class SqliteFile:
    path: Path
    kind: str = "sqlite"

    def save(self, target: Path, progress: Progress) -> None:
        if not self.path.is_file():
            raise Rejected(f"there is no database at {self.path}; name the control plane's state with --state")
        try:
            with closing(self._open()) as source, closing(sqlite3.connect(target)) as copy:
                # One snapshot for all steps: without it each write of others would make the copy begin anew.
                source.execute("BEGIN")
                (size,) = source.execute("SELECT page_size FROM pragma_page_size, sqlite_master LIMIT 1").fetchone()
                source.backup(
                    copy, pages=PAGES, progress=lambda _, left, total: progress((total - left) * size, total * size)
                )
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise Retryable(f"{self.path} could not be copied ({error}); try again") from error

    def revision(self) -> str:
        with closing(self._open()) as source:
            (found,) = source.execute(_REVISION).fetchone()
        return str(found)

    def named(self) -> set[str]:
        with closing(self._open()) as source:
            return {str(digest).removeprefix("sha256:") for (digest,) in source.execute(_NAMED)}

    def check_empty(self) -> None:
        if self.path.exists():
            raise Rejected(f"{self.path} is there already; restore into another --state, or move it away first")

    def load(self, source: Path) -> None:
        """The file is put in its place with the rest of the state."""

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)


@dataclass(frozen=True)
class Postgres:
    url: str = field(repr=False)
    kind: str = "postgresql"

    def save(self, target: Path, progress: Progress) -> None:
        self._run("pg_dump", "--no-owner", "--no-privileges", f"--file={target}")
        progress(target.stat().st_size, target.stat().st_size)

    def revision(self) -> str:
        return self._ask(_REVISION)

    def named(self) -> set[str]:
        return {line.removeprefix("sha256:") for line in self._ask(_NAMED).splitlines()}

    def check_empty(self) -> None:
        if self._ask(_TABLES) != "0":
            raise Rejected("the database has tables already; restore into an empty one")

    def load(self, source: Path) -> None:
        self._run("psql", "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={source}")

    def _ask(self, query: str) -> str:
        return self._run("psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={query}").strip()

    def _run(self, name: str, *arguments: str) -> str:
        """The password travels in the environment: other users read command lines."""
        program = shutil.which(name)
        if program is None:
            raise Fatal(
                f"{name} is not installed; it comes with PostgreSQL's client: apt-get install postgresql-client"
            )
        where, password = _without_password(self.url)
        environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
        done = subprocess.run(
            [program, f"--dbname={where}", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise Fatal(f"{name} failed ({why}); see that the database answers and that --database-url is right")
        return done.stdout


def _without_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    where = parts._replace(scheme="postgresql", netloc=f"{user}@{host}" if user else host)
    return urlunsplit(where), password
