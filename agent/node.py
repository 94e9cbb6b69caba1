"""One agent, put together and run: what is connected to what, in which order it starts and in which order it ends.

Nothing is decided here. Start: identity, state on disk, engines for what answered before, cameras; then the
network. Shutdown: no new requests, no new frames, what runs is drained, telemetry is flushed to disk, connections end;
each step is bounded, and none is skipped because another failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from agent import explaining, logs, report
from agent.adapters import notify
from agent.adapters.berths_disk import DiskBerths
from agent.adapters.blob_https import HttpsBlobs, pinned
from agent.adapters.carried_folder import CarriedFolder
from agent.adapters.clock import SystemClock
from agent.adapters.compiled_store import CompiledStore
from agent.adapters.decision_log import FOLDER, DecisionLog
from agent.adapters.enroll_https import HttpsLateDoor
from agent.adapters.fleet_grpc import GrpcFleetLink
from agent.adapters.identity_dir import IdentityDirectory
from agent.adapters.mqtt import TlsFiles
from agent.adapters.mqtt_events import MqttEvents, place
from agent.adapters.outbox_sqlite import SqliteOutbox
from agent.adapters.release_store import DiskReleaseStore
from agent.adapters.state_sqlite import SqliteState
from agent.adapters.x509 import X509Keys
from agent.berths.progress import Health
from agent.berths.update import AgentUpdate, Around
from agent.caching import Caching
from agent.cameras.capture import CameraStats, Captured, Captures
from agent.carried.nearest import NearestBlobs
from agent.carried.uptake import Uptake
from agent.config import AgentConfig
from agent.desired import Desired, desired
from agent.identity.renewal import Renewal
from agent.identity.store import Identity
from agent.inference import gpu_facts
from agent.inference.compiler import Compiler
from agent.inference.engine import OnnxEngine
from agent.link.beats import Beats
from agent.link.leave import Leave
from agent.link.loop import Handlers, SyncLoop
from agent.looking import Looking
from agent.offload.decisions import Decision
from agent.pipeline.board import Board
from agent.pipeline.table import BoardTable
from agent.ports import Grant
from agent.report import Addresses, Box
from agent.serving.access import Access, ServerCredentials
from agent.serving.admission import Doors
from agent.serving.dataplane import DataPlane
from agent.serving.grpc_server import GrpcServer
from agent.serving.metrics_server import MetricsServer
from agent.serving.rest_server import RestServer
from agent.signed import signed_trust
from agent.supervise import Tasks, bounded
from agent.telemetry import events
from agent.telemetry.metrics import Metrics
from agent.telemetry.nodestats import available_memory
from agent.telemetry.reporter import Reporter
from agent.telemetry.sender import Sender
from agent.tracking.following import Following
from agent.trust.kept import Approvals
from agent.trust.service import SignedTrust
from agent.types import Finished, Problem, Tap, Zone
from agent.update.downloads import Downloads
from agent.update.machine import State
from agent.update.measured import Measured
from agent.update.runner import Updater, UpdateSettings
from agent.update.shadow import Shadows
from agent.update.steps import Ports
from agent.version import VERSION
from agent.wires import BrokerWire, CloudWire
from agent.workers.sandboxes import Sandboxes
from protos.fleet_pb2 import DesiredState, FrameAccounts, SnapshotWish, SyncRequest
from protos.ids import CameraName, DeploymentName, Digest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Disk:
    """What lies in the state directory."""

    state: SqliteState
    outbox: SqliteOutbox
    releases: DiskReleaseStore
    identity: IdentityDirectory
    berths: DiskBerths


class Node:
    """The parts of a running agent. Made on the event loop, started once, closed once."""

    def __init__(self, config: AgentConfig, disk: Disk, identity: Identity) -> None:
        self.config = config
        self._disk = disk
        self._identity = identity
        self._clock = SystemClock()
        self._tasks = Tasks()
        self._notifier = notify.Notifier()
        self._boot_id = uuid.uuid4().hex
        self._leave = Leave(self._clock, lambda: self._sync.changed())  # noqa: PLW0108 - the loop is made after this
        self._beats = Beats(self._clock)
        self._desired = Desired()
        self._wished = asyncio.Event()
        self._refused: tuple[str, ...] = ()
        self._following = Following()
        self._was_connected = False  # before the Sync under way
        self._box = Box(config.role, self._boot_id, config.state_dir, Addresses(), ())
        self.metrics = Metrics(VERSION, identity.member.node_id)
        self._sandboxes = Sandboxes()
        self._compiler = self._new_compiler()
        self.captures = self._new_captures()
        self._decisions = DecisionLog(config.state_dir / FOLDER, config.decision_log, config.decision_log_bytes)
        made = self._new_engine, self._finished, self._new_shadow
        self.board = Board(config, self._clock, self.captures, *made, self._decided)
        self._link = GrpcFleetLink(lambda: self._identity)
        told = self._tell, self.board.standings
        self._reporter = Reporter(disk.outbox, self.metrics, self._clock, config.state_dir, *told)
        self._sender = Sender(disk.outbox, self._clock, random.random, config.sending)
        self._looking = Looking(self._clock, self.captures, self._idle_cameras, self._drawn, self._account)
        self._trust = self._new_trust()
        self._caching = Caching(config, HttpsBlobs(self._leave.now, self._pinned), self._clock)
        ports = self._ports = self._update_ports()
        self._downloads = Downloads(self._clock, disk.state, identity.member.node_id, lambda: self._sync.clock_offset)
        self._shadows = Shadows(ports, self.board, self._clock, self._downloads, self._changed)
        self._updater = self._new_updater(ports)
        self.outdated = asyncio.Event()  # another agent is to start in this one's place
        self._agent_update = self._new_agent_update(ports)
        self._sync = self._new_sync()
        self._sender.on_alarm(self._changed)
        self._uptake = self._new_uptake()
        self._broker = self._new_broker()
        node_id, local = identity.member.node_id, config.events_broker
        self._local_events = MqttEvents(node_id, place(local)) if local else None
        self._cloud = CloudWire(lambda: self._identity, self.board.offer_cloud)
        self._renewal = self._new_renewal()
        access = self._access()
        table, doors = BoardTable(self.board, self._updater.refusal), Doors(self._clock.monotonic, config.shares)
        plane = DataPlane(table, VERSION, self._clock.monotonic, self.metrics, self._clock.unix, admission=doors)
        self._regions = plane.regions
        self._rest, self._grpc = RestServer(plane, access), GrpcServer(plane, access)
        self._metrics_server = MetricsServer(self.metrics.render, access)

    # ---- life ----

    async def start(self) -> None:
        """Raises Fatal when a port is taken; nothing was started then that `close` does not end."""
        await self._disk.outbox.start()
        await self._listen()
        logging.getLogger().addHandler(logs.Forwarder(self._looking.say))
        self.metrics.before_render(self._refresh_metrics)
        if self._local_events is not None:
            self._local_events.start()
        self._updater.start()
        self._sync.restore()
        self._tasks.eternal("outbox", self._disk.outbox.guard())
        self._tasks.eternal("apply", self._apply())
        self._tasks.eternal("report", self._reporter.run())
        self._tasks.eternal("send", self._sender.run())
        self._tasks.eternal("sync", self._sync.run())
        self._tasks.eternal("ladder", self.board.watch(self._sync.changed))
        self._tasks.eternal("beats", self._beats.run())
        self._tasks.eternal("carried", self._uptake.run())
        self._tasks.eternal("renew", self._renewal.run())
        self._tasks.eternal("trust", self._trust.run())
        self._tasks.eternal("agent update", self._agent_update.run())
        self._tasks.eternal("look", self._looking.serve(self._link))
        self._tasks.eternal("snapshots", self._looking.answer(self._link))
        self._tasks.eternal("decision log", self._decisions.run(self._clock))
        self._tasks.eternal("signs of life", self._notifier.live(self._clock))
        self._notifier.tell(notify.READY)

    async def failure(self) -> str:
        """The name of an eternal task that ended by itself."""
        return await self._tasks.failure()

    async def close(self) -> None:
        """Stop intake, drain, flush, close."""
        self._notifier.tell(notify.STOPPING)
        async with contextlib.AsyncExitStack() as last:
            for step in reversed(self._endings()):
                last.push_async_callback(bounded, *step)

    def _endings(self) -> list[tuple[str, Callable[[], object]]]:
        return [
            ("inference over REST", self._rest.stop),
            ("inference over gRPC", self._grpc.stop),
            ("shared memory", self._regions.close),
            ("metrics", self._metrics_server.stop),
            ("site cache", self._caching.stop),
            ("signed metadata", self._trust.close),
            ("updates", self._updater.close),
            ("shadows", self._shadows.close),
            ("engines", self.board.close),
            ("cameras", self.captures.close),
            ("last counts", self._flush),
            ("pictures", self._looking.close),
            ("tasks", self._tasks.stop),
            ("cloud", self._cloud.close),
            ("events", self._close_events),
            ("broker", self._broker.close),
            ("control plane", self._link.close),
            ("outbox", self._disk.outbox.close),
        ]

    async def _flush(self) -> None:
        """What was counted goes out if it can: the sender still runs."""
        self._reporter.flush()
        await self._decisions.flush()
        await self._disk.outbox.settle()
        await self._clock.sleep(0.3)

    # ---- desired state ----

    def _handlers(self) -> Handlers:
        return Handlers(self._granted, self._wish, self._looking.look_until)

    def _granted(self, grant: Grant) -> None:
        self._leave.give(grant)
        self._trust.hint(grant.metadata_version)
        self._uptake.answered()
        if not self._was_connected:
            self._sender.hurry()  # the control plane is back, so it stores again

    def _wish(self, state: DesiredState) -> None:
        """Plan at once, so that the updater's first release finds its settings; the rest follows in `_apply`."""
        wished = self._desired = desired(state)
        self._refused = wished.refused
        self._following.plan(wished.marks, wished.taps)
        self.board.plan(wished.cameras if self.config.role == "edge" else (), wished.deployments)
        self.board.slow_down(wished.slow_down)
        self._reporter.per_second = wished.records_per_second
        self._disk.outbox.bound(self.config.outbox_bound(wished.quotas.outbox_bytes))
        hurried = self._downloads.plan(wished.downloads)
        self._updater.hurry(hurried)
        if hurried:
            self._shadows.wake()
            self._agent_update.wake()
        self._updater.offer({wish.name: wish.digest for wish in wished.deployments})
        self._updater.afford({wish.name: wish.latency_budget for wish in wished.deployments})
        self._shadows.offer({wish.name: wish.shadow.digest for wish in wished.deployments if wish.shadow})
        self._agent_update.offer(wished.agent)
        self._wished.set()

    async def _apply(self) -> None:
        while True:
            await self._wished.wait()
            self._wished.clear()
            await self.captures.pause(self._desired.paused)
            await self.board.feed()
            await self._broker.connect(self._desired.broker)
            await self._cloud.connect(self._desired.cloud)

    # ---- capture workers tell ----

    def _on_frame(self, captured: Captured) -> None:
        self.metrics.stage(captured.tap.deployment, "decode", captured.decode_seconds + captured.fit_seconds)
        self.board.arrive(captured)

    def _on_superseded(self, tap: Tap, frames: int) -> None:
        self._reporter.superseded(tap, frames)

    def _on_health(self, camera: CameraName, stats: CameraStats) -> None:
        self._reporter.camera(camera, stats.state, stats.reason)
        self._sync.changed()

    # ---- reports ----

    def _finished(self, frame: Finished) -> None:
        frame = self._following.follow(frame)
        self._reporter.finished(frame)
        self._looking.show(frame)

    def _decided(self, made: Decision) -> None:
        self._decisions.offer(made)
        self._reporter.decided(made)

    def _tell(self, frame: Finished) -> None:
        """Applications hear of it at the box's own broker, or where it has none at the fleet's."""
        if frame.tap.deployment not in self._desired.silent:
            out = self._local_events or self._broker
            told = out.tell(frame.tap.camera, events.event(self._identity.member.node_id, frame))
            self.metrics.event(told=told)

    async def _close_events(self) -> None:
        if self._local_events is not None:
            await asyncio.to_thread(self._local_events.close)

    def _report(self) -> SyncRequest:
        self._was_connected = self._sync.connected
        start = self._disk.outbox.summary().start
        deployments, cameras = [*self._updater.reports(), *self._agent_update.reports()], self.captures.stats()
        tallies = {name: each.tally for name, each in self.board.shadows.items()}
        shadows = report.shadow_reports(self._shadows, tallies, self.board.shadow_trouble)
        problems, costs, proven = self._problems(), self.board.costs, self._trust.proven()
        standings = self.board.standings(self._clock.monotonic())
        return report.request(self._box, start, deployments, cameras, problems, shadows, costs, proven, standings)

    def _problems(self) -> list[Problem]:
        found = [
            *self._sync.problems(),
            *self._updater.problems(),
            *self.board.problems(),
            *self._broker.problems(),
            *self._sender.problems(),
            *self._sandboxes.problems(),
            *self._caching.problems(),
        ]
        found += [problem for problem in self._trust.problems() if problem.code not in {each.code for each in found}]
        outbox = self._disk.outbox.summary()
        told = {"outbox": outbox.trouble or outbox.damaged, "state": self._disk.state.damaged}
        found += [Problem(code, sentence) for code, sentence in told.items() if sentence]
        found += [each for each in (self._renewal.problem, self._uptake.problem) if each is not None]
        return [*found, *(Problem("refused", sentence) for sentence in self._refused)]

    def _refresh_metrics(self) -> None:
        """Only what is wanted: what is on its way out still ends frames, and must not come back by that."""
        now_ms = int(self._clock.unix() * 1000)
        self.metrics.outbox(self._disk.outbox.summary(), self._sender.counts, now_ms)
        self.metrics.silence(self._sender.silent_seconds)
        self._caching.measure(self.metrics)
        self.metrics.decisions(self._decisions.kept, self._decisions.lost)
        wanted = {wish.name for wish in self._desired.deployments}
        cameras = {wish.name for wish in self._desired.cameras}
        lines = {(wish.name, line.name) for wish in self._desired.cameras for line in wish.lines}
        self.metrics.keep(cameras, wanted, lines)
        self.metrics.happenings_dropped(self._following.dropped)
        for name in wanted & self.board.lanes().keys():
            self._refresh_deployment(name)
        for update in self._updater.reports():
            if update.deployment in wanted:
                self.metrics.update_state(update.deployment, update.state, State)
        for camera, stats in self.captures.stats().items():
            if camera in cameras:
                self.metrics.camera(camera, stats.state, stats.frames_per_second, stats.lowered_rate)

    def _refresh_deployment(self, name: DeploymentName) -> None:
        lane, loaded = self.board.lanes()[name], self.board.answering.get(name)
        self.metrics.queue(name, lane.waiting, lane.in_cloud)
        self.metrics.cost(name, lane.local)
        self.metrics.not_a_number(name, self.board.not_a_number[name])
        self.metrics.shadow(name, shadow.tally if (shadow := self.board.shadows.get(name)) else None)
        if loaded is None:
            self.metrics.forget_model(name)
        else:
            manifest = loaded.release.manifest
            self.metrics.model(name, manifest.name, manifest.version, loaded.digest)

    def _drawn(self, camera: CameraName) -> tuple[Zone, ...]:
        """What is drawn into its picture; a line is a zone without breadth."""
        marks = self._desired.marks.get(camera)
        return (*marks.zones, *(Zone(line.name, line.points) for line in marks.lines)) if marks else ()

    def _account(self, wish: SnapshotWish) -> FrameAccounts:
        return explaining.answer(wish, self.board.accounts, self._clock.unix())

    def _idle_cameras(self) -> list[CameraName]:
        return [wish.name for wish in self._desired.cameras if wish.name not in self.board.fed]

    # ---- inside ----

    async def _listen(self) -> None:
        config = self.config
        http = await self._rest.start(config.listen, config.http_port)
        grpc = await self._grpc.start(config.listen, config.grpc_port)
        metrics = await self._metrics_server.start(config.listen, config.metrics_port)
        await self._caching.start(self._ports, self._trust)
        host = config.dialled
        tls = "" if config.on_loopback else "s"
        self._box = Box(
            config.role,
            self._boot_id,
            config.state_dir,
            Addresses(
                f"grpc{tls}://{host}:{grpc}", f"http{tls}://{host}:{http}", f"http{tls}://{host}:{metrics}/metrics"
            ),
            (config.provider,),
        )

    def _new_captures(self) -> Captures:
        told = self._sandboxes.told
        return Captures(
            self._clock,
            self._on_frame,
            self._on_superseded,
            self._on_health,
            self.config.slots,
            on_confined=told,
            on_still=lambda frame: self.board.still(frame),  # noqa: PLW0108 - the board is made after this
        )

    def _new_engine(self, name: str) -> OnnxEngine:
        awaits_pictures = self.config.role == "cloud"  # those that boxes send
        told, compiler = self._sandboxes.told, self._compiler
        return OnnxEngine(name, on_confined=told, awaits_pictures=awaits_pictures, compiler=compiler)

    def _new_compiler(self) -> Compiler | None:
        """For TensorRT on a GPU that says what it is; anything else loads graphs as they are."""
        here = gpu_facts.platform() if self.config.provider == "tensorrt" else None
        return Compiler(CompiledStore(self.config.state_dir), here, self._sandboxes.told) if here else None

    def _new_shadow(self, name: str) -> OnnxEngine:
        return OnnxEngine(name, on_confined=self._sandboxes.told, idle_only=True, compiler=self._compiler)

    def _access(self) -> Access:
        """Loopback is open; beyond it, callers show a certificate of this fleet or the bearer token."""
        if self.config.on_loopback:
            return Access()
        folder = self._disk.identity.path
        token = self.config.bearer_file.read_text().strip() if self.config.bearer_file else ""
        return Access(token, ServerCredentials(folder / "cert.pem", folder / "key.pem", folder / "ca.pem"))

    def _update_ports(self) -> Ports:
        blobs = NearestBlobs(self._caching.source, CarriedFolder(self.config.state_dir))
        state, releases, provider = self._disk.state, self._disk.releases, self.config.provider
        quota, site = lambda: self._desired.quotas.release_bytes, self._caching.standing
        must, measured = (blobs, releases, self.board, self._trust, Approvals(state), quota), Measured(state, provider)
        return Ports(*must, provider=provider, measured=measured, site=site, free_memory=available_memory)

    def _pinned(self) -> ssl.SSLContext:
        return pinned(self._identity.ca)

    def _new_trust(self) -> SignedTrust:
        state, grant = self._disk.state, self._leave.now
        told, answers = self._proven_anew, lambda: self._sync.connected
        return signed_trust(self.config, self._identity, state, self._clock, grant, self._pinned, told, answers)

    def _new_sync(self) -> SyncLoop:
        silent = lambda: self._beats.silent_seconds  # noqa: E731
        return SyncLoop(
            self._link, self._disk.state, self._clock, self._report, self._handlers(), silent_seconds=silent
        )

    def _new_uptake(self) -> Uptake:
        folder, disk = CarriedFolder(self.config.state_dir), self._disk
        around = self._clock, self._sync, disk.releases, self._trust, disk.state
        return Uptake(folder, lambda: self._identity, X509Keys(), *around)

    def _proven_anew(self) -> None:
        self._updater.wake()
        self._shadows.wake()
        self._agent_update.wake()
        self._sync.changed()

    def _new_updater(self, ports: Ports) -> Updater:
        settings = UpdateSettings(confirm_seconds=self.config.confirm_seconds)
        downloads = self._downloads
        return Updater(ports, self._disk.state, self._clock, settings, self._changed, self._kept, downloads)

    def _kept(self) -> list[Digest]:
        return [*self._shadows.releases, *self._agent_update.releases]

    def _new_agent_update(self, ports: Ports) -> AgentUpdate:
        seconds = self.config.trial_seconds
        berths, state, clock, restart = self._disk.berths, self._disk.state, self._clock, self.outdated.set
        told = self._health, lambda: self._uptake.by_hand, restart, VERSION, seconds, self._changed
        return AgentUpdate(Around(ports, berths, state, clock, self._downloads, *told))

    def _health(self) -> Health:
        """What a trial is judged by."""
        answering = frozenset(report.deployment for report in self._updater.reports() if report.active)
        wanted = frozenset(wish.name for wish in self._desired.deployments)
        return Health(self._sync.connected, wanted, answering, self._uptake.took)

    def _changed(self) -> None:
        self._sync.changed()

    def _new_broker(self) -> BrokerWire:
        folder = self._disk.identity.path
        files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        heard = self._sender.attach, self._sync.on_hint, self._beats
        return BrokerWire(lambda: self._identity, files, self._boot_id, self._clock, *heard)

    def _new_renewal(self) -> Renewal:
        return Renewal(
            link=self._link,
            door=HttpsLateDoor(),
            store=self._disk.identity,
            keys=X509Keys(),
            clock=self._clock,
            offset=lambda: self._sync.clock_offset,
            renewed=self._renewed,
        )

    def _renewed(self, identity: Identity) -> None:
        self._identity = identity
        self._link.reload()
        self._tasks.once("reconnect broker", self._broker.renewed())
        self._tasks.once("reconnect cloud", self._cloud.renewed())
