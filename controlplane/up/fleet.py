"""The control plane as `up` uses it: the public REST API and nothing beside it, with the admin's token.

Blocking; `up` calls it in threads, each call short, so that Ctrl-C never waits for one.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

from controlplane.cli.client import Client, address
from controlplane.cli.contexts import Context, write_local
from controlplane.cli.exits import NotFound
from controlplane.up.demo import Document, moved
from controlplane.up.options import UpOptions
from controlplane.up.plan import LocalAgent
from protos.errors import Retryable


class LocalFleet:
    """The REST API of the control plane in this tree."""

    def __init__(self, options: UpOptions) -> None:
        folder = options.state / "controlplane"
        token = (folder / "admin.token").read_text().strip()
        ca_pem = (folder / "ca" / "ca.pem").read_text()
        self.context = Context(options.local_url, token, ca_pem, state=str(options.state.absolute()))
        write_local(options.state, self.context)
        self._client = Client(self.context)
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """From now on nothing is waited for: the thread that is inside ends at its next pause."""
        self._given_up.set()

    def _pause(self, seconds: float) -> None:
        if self._given_up.wait(seconds):
            raise Retryable("longshore up is stopping")

    def sign_in_link(self, page: str) -> str:
        code = self._client.document("POST", "/signincodes")["code"]
        return f"{page}/signin?code={code}"

    def join_token(self, agent: LocalAgent) -> str:
        body = {"nodeId": agent.node, "labels": agent.labels, "role": agent.role, "ttl": "10m"}
        return str(self._client.document("POST", "/jointokens", json=body)["token"])

    def knows(self, agent: LocalAgent) -> bool:
        """Whether its node is there: nobody deleted it since it joined."""
        try:
            self._client.call("GET", address("nodes", agent.node))
        except NotFound:
            return False
        return True

    def push(self, release: Path) -> tuple[str, str]:
        """Model and version of the release, pushed and, with this tree's key, signed; again, it changes nothing."""
        from controlplane.cli.commands.push import signed
        from controlplane.cli.pushing import push
        from controlplane.cli.signing import Terms

        pushed = push(self._client, release, sleep=self._pause)
        signed(self._client, pushed, (), Terms())
        return pushed.model, pushed.version

    def apply(self, document: Document) -> None:
        self._client.call("PUT", self._address(document), json=document)

    def put_right(self, document: Document) -> None:
        """Move a seeded object to where this tree has its server now; one that the user deleted stays deleted."""
        try:
            stored = self._client.document("GET", self._address(document))
        except NotFound:
            return
        if changed := moved(stored, document):
            self.apply(changed)

    def detection_since(self, moment: datetime) -> str:
        """What was seen in the newest frame captured since then, as words; "" when nothing is in the database yet."""
        query = {"since": moment.isoformat(), "limit": 1}
        for found in self._client.document("GET", "/detections", params=query)["items"]:
            labels = ", ".join(dict.fromkeys(box["label"] for box in found["boxes"]))
            return f"{labels or 'nothing'} on {found['camera']}, {found['node']}"
        return ""

    def _address(self, document: Document) -> str:
        return address(f"{document['kind'].lower()}s", document["metadata"]["name"])
