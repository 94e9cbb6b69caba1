"""Training played by a test: the real services and loop on a simulated executor."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from controlplane.adapters.executor_memory import Played
from controlplane.training.ports import Part, State
from tests.sim.control_plane import SimControlPlane
from tests.sim.releases import make

Document = dict[str, Any]


class Yard:
    """The control plane, and the hand that plays its runs."""

    def __init__(self, plane: SimControlPlane) -> None:
        self.plane = plane
        self.http = plane.client

    def start(self, **spec: Any) -> Document:
        answer = self.http.post("/api/v1/runs", json={"spec": {"recipe": "tiny", **spec}})
        assert answer.status_code == 201, answer.text
        made: Document = answer.json()
        return made

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.plane.services.runs.tick(self.plane.services.publishing)
            self.plane.clock.tick(1.0)

    def status(self, name: str = "tiny-1") -> Document:
        status: Document = self.http.get(f"/api/v1/runs/{name}").json()["status"]
        return status

    def phase(self, name: str = "tiny-1") -> str:
        return str(self.status(name)["phase"])

    def job(self, name: str = "tiny-1") -> Played:
        return self.plane.executor.jobs[name]

    def tells(self, name: str = "tiny-1", **line: object) -> None:
        parts = self.job(name).parts
        parts[Part.PROGRESS] = parts.get(Part.PROGRESS, b"") + json.dumps(line).encode() + b"\n"

    def says(self, text: str, name: str = "tiny-1") -> None:
        parts = self.job(name).parts
        parts[Part.LOG] = parts.get(Part.LOG, b"") + text.encode()

    def ends(self, code: int | None, name: str = "tiny-1", state: State = State.ENDED) -> None:
        self.job(name).look = replace(self.job(name).look, state=state, code=code)

    def leaves_release(self, name: str = "tiny-1", **different: str) -> None:
        run = self.http.get(f"/api/v1/runs/{name}").json()["spec"]
        made = make(different.get("version", run["version"]), name=different.get("model", run["model"]))
        card = f"# {run['model']} {run['version']}\n".encode()
        files = {"model.onnx": made.model, "labels.txt": b"boat\ncontainer\n", "card.md": card}
        self.job(name).release = {"manifest.json": made.manifest, **files}
