"""The client for the public conformance suite speaks its protocol, against a repository of ours on HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from tests.sim.https import Reply, Request, SimHttps
from tests.sim.signed_repository import SignedRepository

CLIENT = Path(__file__).parents[2] / "conformance" / "tuf-client"
CONTENT = b"what a target holds"


class Suite:
    """Runs the client as the suite does."""

    def __init__(self, folder: Path, repository: SignedRepository) -> None:
        self.repository = repository
        self.server = SimHttps(self._handle)
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.metadata.mkdir()
        self.targets.mkdir()
        self.root = folder / "initial_root.json"
        self.root.write_bytes(repository.first_root)

    async def run(self, *arguments: str) -> int:
        process = await asyncio.create_subprocess_exec(CLIENT, "--metadata-dir", self.metadata, *arguments)
        return await process.wait()

    async def refresh(self) -> int:
        return await self.run("--metadata-url", f"{self.server.url}/metadata/", "refresh")

    async def download(self, *names: str) -> int:
        wanted = [part for name in names for part in ("--target-name", name)]
        base, out = f"{self.server.url}/targets/", str(self.targets)
        return await self.run(
            "--metadata-url",
            f"{self.server.url}/metadata/",
            *wanted,
            "--target-base-url",
            base,
            "--target-dir",
            out,
            "download",
        )

    def versions(self) -> dict[str, int]:
        return {path.stem: json.loads(path.read_bytes())["signed"]["version"] for path in self.metadata.glob("*.json")}

    def _handle(self, request: Request) -> Reply:
        folder, name = request.path[1:].split("/", 1)
        if folder == "targets":
            return Reply(200, CONTENT) if name.endswith(("one.txt", "two.txt")) else Reply(404)
        found = self.repository.files.get(name)
        return Reply(404) if found is None else Reply(200, found)


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    repository = SignedRepository()
    for name in ("one.txt", "sub/two.txt"):
        repository.roles["targets"].targets[name] = TargetFile.from_data(name, CONTENT)
    repository.write("targets")
    repository.publish()
    suite = Suite(tmp_path, repository)
    async with suite.server.running():
        assert await suite.run("init", str(suite.root)) == 0
        yield suite


async def test_it_begins_with_the_root_it_was_given_and_refreshes_what_lies_under_it(suite: Suite) -> None:
    assert suite.versions() == {"root": 1}
    assert await suite.refresh() == 0
    assert suite.versions() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


async def test_it_fetches_targets_in_order_and_ends_with_1_at_what_is_not_listed(suite: Suite) -> None:
    assert await suite.download("one.txt", "sub/two.txt") == 0
    assert sorted(path.name for path in suite.targets.iterdir()) == ["one.txt", "sub%2Ftwo.txt"]
    assert await suite.download("three.txt") == 1


async def test_it_refuses_a_repository_that_goes_back_though_its_files_were_emptied(suite: Suite) -> None:
    before = dict(suite.repository.files)
    suite.repository.publish()
    assert await suite.refresh() == 0
    for role in ("timestamp", "snapshot"):
        (suite.metadata / f"{role}.json").write_bytes(b"")
    suite.repository.files = before
    assert await suite.refresh() == 1
