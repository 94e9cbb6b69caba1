"""The agent's metrics in Prometheus form, in a registry of their own: seconds and bytes, real histograms.

Labels hold names of objects only (camera, deployment, release), never a source or an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from agent.offload.cost import CostLine
from agent.pipeline.shadow import ShadowTally
from agent.site.standing import Origin
from agent.telemetry.books import Summary
from agent.telemetry.classes import RecordClass
from agent.telemetry.nodestats import Usage
from agent.telemetry.records import NodeStats
from agent.telemetry.sender import SenderCounts
from agent.types import CameraState, Finished, Tap
from protos.ids import CameraName, DeploymentName
from protos.outcomes import Outcome

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5)  # seconds
STAGES = ("queue", "infer", "encode", "cloud")  # that a frame brings; decode and total are counted apart


class Metrics:
    """One per agent process. Not thread-safe: used from the event loop."""

    def __init__(self, version: str, node: str) -> None:
        registry = self._registry = CollectorRegistry()
        self._refreshers: list[Callable[[], None]] = []
        Info("longshore_agent", "This agent.", registry=registry).info({"version": version, "node": node})
        self._frames = Counter(
            "longshore_frames",
            "Frames that were due, by how they ended.",
            ["camera", "deployment", "outcome"],
            registry=registry,
        )
        self._stages = Histogram(
            "longshore_frame_stage_seconds",
            "Time a frame spent in a stage; total is capture to end, of answered frames.",
            ["deployment", "stage"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._uplink = Counter(
            "longshore_uplink_bytes", "Bytes of pictures sent to cloud nodes.", ["deployment"], registry=registry
        )
        self._crossings = Counter(
            "longshore_line_crossings",
            "Things that crossed a line of a camera, by direction.",
            ["camera", "deployment", "line", "direction"],
            registry=registry,
        )
        self._happenings_dropped = Gauge(
            "longshore_happenings_dropped", "Crossings, entries, exits and stays beyond what is told a second.",
            registry=registry,
        )  # fmt: skip
        self._queue = Gauge(
            "longshore_queue_frames", "Frames that wait for the engine.", ["deployment"], registry=registry
        )
        self._in_cloud = Gauge(
            "longshore_cloud_frames", "Frames under way to a cloud node.", ["deployment"], registry=registry
        )
        self._requests = Histogram(
            "longshore_inference_request_seconds",
            "Requests over the inference protocol, by how they ended.",
            ["transport", "model", "result"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._answered: dict[tuple[str, str, str], Histogram] = {}  # series of `_requests`; none of them ever ends
        self._make_cost(registry)
        self._make_shadow(registry)
        self._make_objects(registry)
        self._make_outbox(registry)
        self._make_process(registry)
        self._make_site(registry)

    def _make_cost(self, registry: CollectorRegistry) -> None:
        self._cost = Gauge(
            "longshore_inference_cost_seconds",
            "A call of the model on this box, as learned: what each frame in it costs, and what the call costs beside.",
            ["deployment", "of"],
            registry=registry,
        )
        self._load = Gauge(
            "longshore_inference_slowness", "The last calls, in times of what the cost says.", ["deployment"],
            registry=registry,
        )  # fmt: skip
        self._kept = Gauge(
            "longshore_inference_planned_share", "Share of the last calls that took no longer than was planned.",
            ["deployment"], registry=registry,
        )  # fmt: skip

        self._not_a_number = Gauge(
            "longshore_not_a_number_frames", "Frames answered with NaN or infinity, since the release answers.",
            ["deployment"], registry=registry,
        )  # fmt: skip

        self._decisions = Gauge(
            "longshore_decision_log_lines", "Decisions for the log since the start, by what became of them.",
            ["result"], registry=registry,
        )  # fmt: skip

    def _make_shadow(self, registry: CollectorRegistry) -> None:
        self._shadow = Gauge(
            "longshore_shadow_frames",
            "Frames that a deployment's shadow looked at, since it and the release that answers are loaded.",
            ["deployment", "result"],
            registry=registry,
        )
        self._shadow_seconds = Gauge(
            "longshore_shadow_inference_seconds", "Inference of these frames, of the shadow and of what answers.",
            ["deployment", "of"], registry=registry,
        )  # fmt: skip

    def _make_objects(self, registry: CollectorRegistry) -> None:
        self._update = Gauge(
            "longshore_update_state", "1 at the state a deployment's update is in.", ["deployment", "state"],
            registry=registry,
        )  # fmt: skip
        self._model = Gauge(
            "longshore_model_info", "The release that answers.", ["deployment", "model", "version", "digest"],
            registry=registry,
        )  # fmt: skip
        self._camera = Gauge(
            "longshore_camera_state", "1 at the state a camera is in.", ["camera", "state"], registry=registry
        )
        self._fps = Gauge(
            "longshore_camera_frames_per_second", "Frames captured of late.", ["camera"], registry=registry
        )
        self._lowered = Gauge(
            "longshore_camera_lowered_frames_per_second",
            "Frames that are due, where overload has lowered a camera's rate; else 0.",
            ["camera"],
            registry=registry,
        )

    def _make_outbox(self, registry: CollectorRegistry) -> None:
        self._waiting = Gauge("longshore_outbox_records", "Records that wait.", ["class"], registry=registry)
        self._waiting_bytes = Gauge("longshore_outbox_bytes", "Bytes that wait.", registry=registry)
        self._accepted = Gauge(
            "longshore_outbox_accepted_records", "Records accepted since the outbox was made.", registry=registry
        )
        self._dropped = Gauge(
            "longshore_outbox_dropped_records",
            "Records that were dropped since the outbox was made, and declared so.",
            ["class"],
            registry=registry,
        )
        self._trouble = Gauge("longshore_outbox_trouble", "1 while telemetry can't be written.", registry=registry)
        self._damaged = Gauge(
            "longshore_outbox_damaged", "1 when a damaged outbox was set aside since the start.", registry=registry
        )
        self._oldest = Gauge(
            "longshore_outbox_oldest_waiting_seconds", "How long the oldest record waits.", registry=registry
        )
        self._batches = Gauge(
            "longshore_telemetry_batches", "Batches since the start, by what became of them.", ["result"],
            registry=registry,
        )  # fmt: skip

        self._refusals = Gauge(
            "longshore_telemetry_refusals",
            "Batches since the start that the broker did not take, or took and nobody acknowledged, by reason.",
            ["reason"],
            registry=registry,
        )
        self._silence = Gauge(
            "longshore_telemetry_silent_seconds",
            "How long records have been sent over a working connection and nothing was acknowledged.",
            registry=registry,
        )

        self._events = Counter(
            "longshore_events", "Events for applications, by what became of them.", ["result"], registry=registry
        )

    def _make_process(self, registry: CollectorRegistry) -> None:
        self._cpu = Gauge("longshore_cpu_cores", "Cores used by the agent and its workers.", registry=registry)
        self._memory = Gauge(
            "longshore_memory_bytes", "PSS of the agent's main process or of all its processes.", ["of"],
            registry=registry,
        )  # fmt: skip
        self._disk = Gauge("longshore_disk_free_bytes", "Free on the disk of the state folder.", registry=registry)

    def _make_site(self, registry: CollectorRegistry) -> None:
        self._release_bytes = Gauge(
            "longshore_release_bytes", "Bytes of releases that came since the start, by where from.", ["source"],
            registry=registry,
        )  # fmt: skip
        self._site_answers = Gauge(
            "longshore_site_cache_answers",
            "Answers of this box as its site's cache.",
            ["result"],
            registry=registry,
        )
        self._site_bytes = Gauge(
            "longshore_site_cache_bytes",
            "Of this box as the cache of its site: served and fetched for others since the start, and held for them.",
            ["of"],
            registry=registry,
        )

    # ---- frames ----

    def finished(self, frame: Finished) -> None:
        tap = frame.tap
        self._frames.labels(tap.camera, tap.deployment, frame.outcome).inc()
        if frame.uplink_bytes:
            self._uplink.labels(tap.deployment).inc(frame.uplink_bytes)
        for stage, seconds in frame.stages.items():
            if stage in STAGES:
                self._stages.labels(tap.deployment, stage).observe(seconds)
        if frame.release is not None:
            self._stages.labels(tap.deployment, "total").observe(frame.latency)
        for happening in frame.happened:
            if happening.direction is not None:
                self._crossings.labels(tap.camera, tap.deployment, happening.place, happening.direction).inc()

    def happenings_dropped(self, count: int) -> None:
        """Since the start."""
        self._happenings_dropped.set(count)

    def stage(self, deployment: DeploymentName, stage: str, seconds: float) -> None:
        self._stages.labels(deployment, stage).observe(seconds)

    def unseen(self, tap: Tap, outcome: Outcome, frames: int) -> None:
        self._frames.labels(tap.camera, tap.deployment, outcome).inc(frames)

    def queue(self, deployment: DeploymentName, waiting: int, in_cloud: int) -> None:
        self._queue.labels(deployment).set(waiting)
        self._in_cloud.labels(deployment).set(in_cloud)

    def cost(self, deployment: DeploymentName, line: CostLine) -> None:
        self._cost.labels(deployment, "frame").set(line.per_frame)
        self._cost.labels(deployment, "call").set(line.per_call)
        self._load.labels(deployment).set(line.slowness)
        if line.kept is None:  # another release, and too few calls of it
            self._kept.remove_by_labels({"deployment": deployment})
        else:
            self._kept.labels(deployment).set(line.kept)

    def not_a_number(self, deployment: DeploymentName, frames: int) -> None:
        self._not_a_number.labels(deployment).set(frames)

    def decisions(self, kept: int, lost: int) -> None:
        """Lines of the decision log since the start."""
        self._decisions.labels("kept").set(kept)
        self._decisions.labels("lost").set(lost)

    def shadow(self, deployment: DeploymentName, tally: ShadowTally | None) -> None:
        """None: it has none, or that is not loaded."""
        if tally is None:
            for family in (self._shadow, self._shadow_seconds):
                family.remove_by_labels({"deployment": deployment})
            return
        for result in ("agreed", "differed", "failed"):
            self._shadow.labels(deployment, result).set(getattr(tally, result))
        self._shadow_seconds.labels(deployment, "shadow").set(tally.seconds)
        self._shadow_seconds.labels(deployment, "active").set(tally.active_seconds)

    # ---- applications beside the box (agent.serving.dataplane.Observer) ----

    def answered(self, transport: str, model: str, result: str, seconds: float) -> None:
        key = transport, model, result
        series = self._answered.get(key)
        if series is None:
            series = self._answered[key] = self._requests.labels(*key)
        series.observe(seconds)

    # ---- objects ----

    def update_state(self, deployment: DeploymentName, state: str, states: Iterable[str]) -> None:
        for each in states:
            self._update.labels(deployment, each).set(each == state)

    def model(self, deployment: DeploymentName, model: str, version: str, digest: str) -> None:
        self.forget_model(deployment)
        self._model.labels(deployment, model, version, digest).set(1)

    def forget_model(self, deployment: DeploymentName) -> None:
        self._model.remove_by_labels({"deployment": deployment})

    def event(self, *, told: bool) -> None:
        """Whether an event left the box."""
        self._events.labels("told" if told else "dropped").inc()

    def camera(
        self, camera: CameraName, state: CameraState, frames_per_second: float, lowered_rate: float = 0.0
    ) -> None:
        for each in CameraState:
            self._camera.labels(camera, each).set(each is state)
        self._fps.labels(camera).set(frames_per_second)
        self._lowered.labels(camera).set(lowered_rate)

    def keep(self, cameras: Set[str], deployments: Set[str], lines: Set[tuple[str, str]]) -> None:
        """End every series of other cameras, deployments and lines, or a box where these change would grow for ever.

        `lines`: camera and name, for cameras may have lines of one name.
        """
        of_lanes = (self._stages, self._uplink, self._queue, self._in_cloud, self._cost, self._load, self._kept)
        of_releases = (self._not_a_number, self._shadow, self._shadow_seconds)
        for family in (self._frames, self._crossings, self._update, self._model, *of_lanes, *of_releases):
            _prune(family, ("deployment",), {(each,) for each in deployments})
        for of_camera in (self._frames, self._crossings, self._camera, self._fps, self._lowered):
            _prune(of_camera, ("camera",), {(each,) for each in cameras})
        _prune(self._crossings, ("camera", "line"), lines)

    # ---- outbox and process ----

    def outbox(self, summary: Summary, counts: SenderCounts, now_ms: int) -> None:
        """`now_ms`: Unix, by the clock of this box, which says when records were accepted as well."""
        for each in RecordClass:
            held = summary.waiting.get(each)
            self._waiting.labels(each.word).set(held.rows if held else 0)
            self._dropped.labels(each.word).set(summary.dropped.get(each, 0))
        self._waiting_bytes.set(summary.waiting_bytes)
        self._accepted.set(summary.accepted)
        self._trouble.set(bool(summary.trouble))
        self._damaged.set(bool(summary.damaged))
        waits = now_ms - summary.oldest_unix_ms if summary.oldest_unix_ms else 0
        self._oldest.set(max(0, waits) / 1000)
        for result in ("published", "refused", "repeated", "acknowledged"):
            self._batches.labels(result).set(getattr(counts, result))
        for reason, batches in counts.refusals.items():
            self._refusals.labels(reason).set(batches)

    def silence(self, seconds: float) -> None:
        self._silence.set(seconds)

    def process(self, all_of_it: NodeStats, main: Usage) -> None:
        self._cpu.set(all_of_it.cpu_cores_used)
        self._memory.labels("all").set(all_of_it.memory_bytes)
        self._memory.labels("main").set(main.memory_bytes)
        self._disk.set(all_of_it.disk_free_bytes)

    # ---- the cache of the site ----

    def release_bytes(self, came: Mapping[Origin, int]) -> None:
        """By where from, since the start."""
        for source, count in came.items():
            self._release_bytes.labels(source).set(count)

    def site_cache(self, answers: Mapping[str, int], served: int, fetched: int) -> None:
        """Answers by result, and bytes."""
        for result, count in answers.items():
            self._site_answers.labels(result).set(count)
        for of, count in (("served", served), ("fetched", fetched)):
            self._site_bytes.labels(of).set(count)

    def site_cache_holds(self, count: int) -> None:
        """Bytes."""
        self._site_bytes.labels("held").set(count)

    # ---- giving them out ----

    def before_render(self, refresh: Callable[[], None]) -> None:
        """Call `refresh` whenever somebody asks: for values that are read, not counted."""
        self._refreshers.append(refresh)

    def render(self) -> bytes:
        for refresh in self._refreshers:
            refresh()
        return generate_latest(self._registry)


def _prune(family: Counter | Gauge | Histogram, labels: Sequence[str], wanted: Set[tuple[str, ...]]) -> None:
    """End the series whose values of these labels are not wanted."""
    samples = (sample for metric in family.collect() for sample in metric.samples)
    for gone in {tuple(sample.labels[label] for label in labels) for sample in samples} - wanted:
        family.remove_by_labels(dict(zip(labels, gone, strict=True)))
