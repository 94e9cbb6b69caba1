"""A client for the public TUF conformance suite that drives the agent's fetcher, floors and storage.

    tuf-client --metadata-dir D init TRUSTED_ROOT
    tuf-client --metadata-dir D --metadata-url U refresh
    tuf-client --metadata-dir D --metadata-url U --target-name NAME --target-base-url T --target-dir O download

Several --target-name are taken in order. Exit code 0 or 1. What the agent keeps beside metadata lies in D/.box. The
suite is started with:  pytest … --entrypoint tests/conformance/tuf-client
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, TargetFile

from agent.adapters import files
from agent.adapters.clock import SystemClock
from agent.adapters.metadata_https import HttpsMetadata
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.trust_files import TrustFiles
from agent.adapters.tuf_metadata import TufMetadata
from agent.ports import Grant
from agent.supervise import in_thread
from agent.trust.agreement import Kind
from agent.trust.errors import Untrusted
from agent.trust.fetching import Fetching
from agent.trust.kept import KeptFloors
from agent.trust.service import Around, SignedTrust
from protos.errors import LongshoreError, Rejected


class AllTargets(TufMetadata):
    """Those that are no releases, too, which no box asks for."""

    def target(self, path: str) -> TargetFile | None:
        """Whoever may list it. Raises as `find`."""
        with self._translated():
            found = self._known().get_targetinfo(path)
            self._sync()
            return found

    @property
    def consistent(self) -> bool:
        """Are files of targets named after their hash?"""
        return bool(Metadata[Root].from_bytes(self._root).signed.consistent_snapshot)


@dataclass(frozen=True)
class Client:
    """What a box has of trust, on the suite's folder."""

    trust: SignedTrust
    metadata: AllTargets


@contextlib.asynccontextmanager
async def client(folder: Path, url: str) -> AsyncIterator[Client]:
    source = HttpsMetadata(lambda: Grant(url, "none", url), lambda: None)
    places, state, clock = TrustFiles(folder / ".box"), SqliteState(folder / ".box" / "state.db"), SystemClock()
    fetching = Fetching(source)
    metadata = AllTargets(folder, fetching, clock.unix)
    around = Around(metadata, source, fetching, KeptFloors(state, places, "fleet"), places, clock)
    trust = SignedTrust(around, Kind((), ""))
    try:
        yield Client(trust, metadata)
    finally:
        await trust.close()
        state.close()


def initialised(folder: Path, root: Path) -> None:
    files.make_directory(folder / ".box", 0o700)
    TrustFiles(folder / ".box").keep_root(root.read_bytes())
    shutil.copyfile(root, folder / "root.json")


async def refreshed(folder: Path, url: str) -> None:
    async with client(folder, url) as box:
        await box.trust.refresh()


async def downloaded(folder: Path, url: str, base: str, out: Path, wanted: list[str]) -> None:
    async with client(folder, url) as box:
        await box.trust.refresh()
        for name in wanted:
            await _download(box, name, base, out)


async def _download(box: Client, name: str, base: str, out: Path) -> None:
    target = await in_thread(box.metadata.target, name)
    if target is None:
        raise Rejected(f"{name} is not listed")
    kept = out / quote(target.path, "")
    if kept.is_file() and _is(target, kept.read_bytes()):
        return
    folder, slash, last = target.path.rpartition("/")
    path = f"{folder}{slash}{next(iter(target.hashes.values()))}.{last}" if box.metadata.consistent else target.path
    content = await HttpsMetadata(lambda: Grant(base, "none", base), lambda: None).get(path, target.length)
    if not _is(target, content):
        raise Untrusted(f"{name} is not what was signed")
    files.write_atomic(kept, content)


def _is(target: TargetFile, content: bytes) -> bool:
    try:
        target.verify_length_and_hashes(content)
    except LengthOrHashMismatchError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    told = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        if told.command == "init":
            initialised(told.metadata_dir, told.trusted_root)
        elif told.command == "refresh":
            asyncio.run(refreshed(told.metadata_dir, told.metadata_url))
        else:
            where = (told.target_base_url, told.target_dir, told.target_name)
            asyncio.run(downloaded(told.metadata_dir, told.metadata_url, *where))
    except LongshoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
