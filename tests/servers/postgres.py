"""A PostgreSQL server of the tests' own: fresh cluster, loopback, no fsync; each test may have a database of its own.

`Postgres` is one that may be killed; it is as careful with its disk as one in earnest.

PostgreSQL refuses to run as root, so under root it runs as `postgres` (or `nobody`) through setpriv, and dies with us.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.ports import free_port, wait_for
from tests.servers.require import program

USER = "longshore"
START_SECONDS = 30.0
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}


def _binaries() -> list[Path]:
    """Debian keeps them out of PATH, one folder per version; newest first."""
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(found, key=lambda folder: float(folder.parent.name), reverse=True)


def _account() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_user(account: pwd.struct_passwd) -> list[str]:
    drop = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if os.geteuid() == 0 else []
    return [program("setpriv", "util-linux"), "--pdeathsig", "KILL", *drop, "--"]


def _initialise(folder: Path, account: pwd.struct_passwd) -> None:
    initdb = program("initdb", "postgresql", *_binaries())
    arguments = ["--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    done = subprocess.run(
        [*_as_user(account), initdb, "-D", str(folder / "data"), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _serve(
    folder: Path, account: pwd.struct_passwd, port: int, changed: Mapping[str, str] = _SETTINGS
) -> subprocess.Popen[bytes]:
    postgres = program("postgres", "postgresql", *_binaries())
    settings = [f"--{key}={value}" for key, value in changed.items()]
    where = ["-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    with (folder / "postgres.log").open("ab") as log:
        process = subprocess.Popen(
            [*_as_user(account), postgres, *where, *settings],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=folder,
        )
    try:
        wait_for(port, process)
        _answers(f"127.0.0.1:{port}")
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _answers(server: str, seconds: float = 20.0) -> None:
    """Return once the server takes queries: it listens a little earlier, and says that it is starting up."""
    import psycopg

    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(f"postgresql://{USER}@{server}/postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < until, "PostgreSQL did not get ready"
            time.sleep(0.05)
        else:
            return


class Postgres:
    """A server with a folder of its own, in which it may be killed, and recovers."""

    def __init__(self) -> None:
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="longshore-postgres-"))
        os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        _initialise(self._folder, self._account)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its database."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Return once it has recovered. Backends of one that was killed may still hold its memory: then once more."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self._process = _serve(self._folder, self._account, self._port, {"max_connections": "60"})
            except (RuntimeError, TimeoutError):
                assert time.monotonic() < until, (self._folder / "postgres.log").read_text()[-2000:]
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """The postmaster, as an operator's mistake would; its children find out by themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=START_SECONDS)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def running(**settings: str) -> Iterator[str]:
    """`host:port` of a server whose superuser is USER, without a password; nothing is left of it at the end.

    `settings`: of postgresql.conf, above those of all tests.
    """
    program("postgres", "postgresql", *_binaries())
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="longshore-postgres-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        os.chown(folder, account.pw_uid, account.pw_gid)
        _initialise(folder, account)
        port = free_port()
        process = _serve(folder, account, port, {**_SETTINGS, **settings})
        yield f"127.0.0.1:{port}"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # whoever is still connected is not waited for
            process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with running() as server:
        yield server


@pytest.fixture
def new_postgres_database(postgres_server: str) -> Callable[[], str]:
    """Make an empty database and get its SQLAlchemy URL, as often as called."""
    import psycopg

    def create() -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(f"postgresql://{USER}@{postgres_server}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{USER}@{postgres_server}/{name}"

    return create


@pytest.fixture
def postgres_url(new_postgres_database: Callable[[], str]) -> str:
    """SQLAlchemy URL of an empty database of this test's own."""
    return new_postgres_database()


_numbers = itertools.count(1)
