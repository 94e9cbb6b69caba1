"""The command as a user has it: a control plane served on a port, words in, exit code and text out."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from starlette.types import ASGIApp

from controlplane.adapters.http_server import http_servers
from tests.sim.releases import MadeRelease

Run = Callable[..., "Result"]


class Serving:
    """An application on a port of this machine, in a thread of its own."""

    def __init__(self, app: ASGIApp, port: int, context: SSLContext | None = None) -> None:
        self._app = app
        self._context = context
        self._port = port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Serving:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        taken = socket.create_server(("127.0.0.1", self._port))
        async with http_servers(self._app, [(taken, self._context)]):
            self._ready.set()
            await self._stop.wait()


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def release_folder(made: MadeRelease, folder: Path) -> Path:
    """The release as it lies on a builder's disk."""
    folder.mkdir(parents=True)
    named = {"model.onnx": made.model, "labels.txt": b"boat\ncontainer\n", "manifest.json": made.manifest}
    cards = [body for body in made.blobs.values() if body.startswith(b"# ")]
    for name, content in {**named, "card.md": cards[0]}.items():
        (folder / name).write_bytes(content)
    return folder
