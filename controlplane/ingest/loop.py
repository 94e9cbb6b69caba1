"""The thread between broker and database.

Rules that hold here:

- many messages, one transaction, of so many records and no more: what is parsed is ten times what came. The
  acknowledgement is published after the commit, never before;
- the database is away: nothing is acknowledged, the same messages are tried again; what does not fit into the queue
  meanwhile is dropped, because every box keeps it and sends it again;
- a message that makes no sense is counted, told once per box, and forgotten;
- one that can't be stored, whatever the reason, keeps nobody else's out: it is found by storing one by one, counted
  and told with its box's name. It is not acknowledged, so it waits on the box and is there for a mended version;
- two boxes with one identity are told once per box, and counted: what came under the name of another record is kept
  aside and acknowledged, because neither of the two could do anything about it by sending it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controlplane.ingest import wire
from controlplane.ingest.domain import Batch
from controlplane.ingest.service import IngestService, Stored
from controlplane.ports import Message, TelemetryIn
from protos.errors import Rejected, Retryable
from protos.ids import NodeId
from protos.topics import Channel

MOST_MESSAGES = 200  # of one transaction
MOST_RECORDS = 5_000  # of one transaction, but for its last message
WAIT_SECONDS = 0.5  # for a message, before looking whether it is time to stop
RETRY_SECONDS = 1.0
STOP_SECONDS = 2.0
TWO_BOXES = "two boxes have its identity, or an old copy of its disk runs; join one of them again"
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

log = logging.getLogger(__name__)


class OnPresence(Protocol):
    """See controlplane.fleet.boxes.BoxService.presence."""

    def __call__(self, name: str, *, online: bool, boot_id: str = "", retained: bool = False) -> None: ...


class IngestMetrics:
    def __init__(self, registry: CollectorRegistry, source: TelemetryIn) -> None:
        self.messages = Counter(
            "longshore_ingest_messages", "Messages of boxes, by what became of them.", ["result"], registry=registry
        )
        self.records = Counter("longshore_ingest_records", "Records stored, repeats included.", registry=registry)
        self.repeated = Counter(
            "longshore_ingest_repeated_records", "Of these, records that were stored before.", registry=registry
        )
        self.refused = Counter("longshore_ingest_refused_records", "Records that broke a rule.", registry=registry)
        self.conflicts = Counter(
            "longshore_ingest_identity_conflicts",
            "Signs of two boxes with one identity: records under the name of another, starts that follow the same one.",
            ["sign"],
            registry=registry,
        )
        self.seconds = Histogram(
            "longshore_ingest_transaction_seconds", "Storing a group of messages.", buckets=_BUCKETS, registry=registry
        )
        overflow = Gauge(
            "longshore_ingest_overflow_messages", "Messages too large, or without room.", registry=registry
        )
        overflow.set_function(lambda: source.overflow)
        connected = Gauge("longshore_ingest_connected", "1 while the broker lets us hear the boxes.", registry=registry)
        connected.set_function(lambda: not source.trouble)
        waiting = Gauge("longshore_ingest_queue_messages", "Messages that wait for the database.", registry=registry)
        waiting.set_function(lambda: source.waiting.messages)
        size = Gauge("longshore_ingest_queue_bytes", "Bytes of the messages that wait.", registry=registry)
        size.set_function(lambda: source.waiting.bytes)


class IngestLoop:
    """`start`, then `stop`."""

    def __init__(
        self, source: TelemetryIn, service: IngestService, presence: OnPresence, registry: CollectorRegistry
    ) -> None:
        self._source = source
        self._service = service
        self._presence = presence
        self._metrics = IngestMetrics(registry, source)
        self._stopping = threading.Event()
        self._told: set[tuple[str, str]] = set()  # (box, complaint) that are in the log
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the transaction that runs."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            messages = self._source.receive(MOST_MESSAGES, WAIT_SECONDS)
            if messages:
                self.handle(messages)

    def handle(self, messages: list[Message]) -> None:
        """All of these, whatever it takes; gives up only when told to stop."""
        try:
            self._handle(messages)
        except Exception as error:  # noqa: BLE001 - the root of this thread: one message must not end it
            if len(messages) == 1:
                self._refuse(messages[0], error)
                return
            log.debug("one of %d messages can't be stored: each by itself then", len(messages))
            for message in messages:
                self.handle([message])

    def _handle(self, messages: list[Message]) -> None:
        batches: list[Batch] = []
        records = 0
        for message in messages:
            if message.channel is Channel.TELEMETRY and (batch := self._parsed(message)) is not None:
                batches.append(batch)
                records += batch.records
            if records >= MOST_RECORDS:
                self._until_done(partial(self._store, batches))
                batches, records = [], 0
        self._until_done(partial(self._store, batches))
        for message in messages:
            if message.channel is Channel.PRESENCE:
                self._until_done(partial(self._tell_presence, message))

    def _until_done(self, work: Callable[[], None]) -> None:
        """Run `work`, again for as long as the database is away."""
        tries = 0
        while not self._stopping.is_set():
            try:
                work()
            except Retryable as error:
                log.log(logging.WARNING if tries == 0 else logging.DEBUG, "telemetry waits: %s", error)
                tries += 1
                self._stopping.wait(RETRY_SECONDS)
                continue
            if tries:
                log.info("the database is back after %d tries", tries)
            return

    def _store(self, batches: list[Batch]) -> None:
        if not batches:
            return
        with self._metrics.seconds.time():
            stored = self._service.store(batches)
        for receipt in stored.receipts:
            self._source.acknowledge(receipt.node, wire.acknowledgement(receipt))
        self._count(batches, stored)

    def _count(self, batches: list[Batch], stored: Stored) -> None:
        self._metrics.records.inc(stored.rows)
        self._metrics.repeated.inc(stored.repeated)
        for batch in batches:
            unknown = batch.node in stored.unknown
            self._metrics.messages.labels("unknown" if unknown else "stored").inc()
            if unknown:
                self._complain(batch.node, "it is not in the fleet; join it again, its telemetry waits on the box")
            self._metrics.refused.inc(len(batch.refused))
            for reason in batch.refused:
                self._complain(batch.node, reason)
        for node, records in stored.clashes.items():
            self._metrics.conflicts.labels("record").inc(records)
            self._complain(node, "records came under the names of others and were kept aside; " + TWO_BOXES)
        for node in stored.twice:
            if self._complain(node, "two starts of its agent follow the same one; " + TWO_BOXES):
                self._metrics.conflicts.labels("start").inc()

    def _parsed(self, message: Message) -> Batch | None:
        try:
            return wire.batch(message.node, message.payload, message.received_ms)
        except Rejected as error:
            self._metrics.messages.labels("malformed").inc()
            self._complain(message.node, str(error))
            return None

    def _tell_presence(self, message: Message) -> None:
        if not message.payload:
            return  # cleared by ourselves: the box is no more
        try:
            said = wire.presence(message.payload)
        except Rejected as error:
            self._metrics.messages.labels("malformed").inc()
            self._complain(message.node, str(error))
            return
        self._presence(message.node, online=said.online, boot_id=said.boot_id, retained=message.retained)
        self._metrics.messages.labels("presence").inc()

    def _refuse(self, message: Message, error: Exception) -> None:
        self._metrics.messages.labels("refused").inc()
        why = f"a message can't be stored ({type(error).__name__}), which is a mistake of ours; it waits on the box"
        self._complain(message.node, why, error)

    def _complain(self, node: NodeId, why: str, error: Exception | None = None) -> bool:
        """Once per box and complaint: what is wrong once is wrong a thousand times. Whether this was the once."""
        if (node, why) in self._told or len(self._told) >= 10_000:
            return False
        self._told.add((node, why))
        log.warning("telemetry of %s: %s", node, why, exc_info=error)
        return True
