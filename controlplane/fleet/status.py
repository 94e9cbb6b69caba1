"""What is, next to what should be: conditions and counts of nodes, cameras and deployments. Pure.

Each condition says its reason as a sentence, names the box it is about and, where an operator can do something, what.
A box has converged on a deployment when its last report shows the wanted release answering and nothing under way;
being offline does not undo that, it is the node's Ready that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from controlplane.fleet import terms
from controlplane.fleet.objects import CLOUD, Camera, Condition, Deployment, Fleet, Node, Releases, Transitions
from controlplane.fleet.reports import CameraReport, DeploymentReport, ShadowReport, TrustReport
from controlplane.fleet.selection import Selection, selection
from controlplane.fleet.selectors import EVERYTHING
from controlplane.fleet.specs import DeploymentSpec
from protos.manifest import AGENT_MODEL

READY = "Ready"
CONVERGED = "Converged"
WATCHING = "Watching"
TERMS_FIT = "TermsFit"
TRUST_FRESH = "TrustFresh"
SPEC_ACCEPTED = "SpecAccepted"
_NAMED = 3  # boxes named in one sentence; the others are counted


class Phase(StrEnum):
    """Of a node, in one word."""

    JOINED = "Joined"  # it has a certificate and never called
    ONLINE = "Online"
    OFFLINE = "Offline"
    BY_FILE = "ByFile"  # at a site without a network: what it last said was carried here


class Step(StrEnum):
    """How far a box is with one deployment."""

    UPDATED = "Updated"
    UPDATING = "Updating"
    WAITING = "Waiting"  # for its download window, or nobody there to update: offline, or not yet called
    FAILED = "Failed"


@dataclass(frozen=True)
class Progress:
    """Of one box with one deployment; `message` completes the sentence "<box> …"."""

    node: str
    step: Step
    message: str
    state: str = ""
    active_digest: str = ""
    variant: str = ""  # of what answers
    shadow: ShadowReport | None = None
    trust: TrustReport | None = None


_UNDER_WAY = {
    "PULLING": "is pulling the release",
    "VERIFYING": "is verifying the release",
    "WARMING": "is warming the release up",
    "SWAPPING": "is swapping to the release",
    "CONFIRMING": "is watching the new release before it confirms it",
    "ROLLING_BACK": "is rolling back",
    "INSTALLING": "is installing the agent beside the one that runs",
    "SWITCHING": "is switching to the agent",
    "RESTARTING": "is starting the agent",
    "REVERTING": "is going back to the agent before it",
}


def phase(node: Node) -> Phase:
    if node.online:
        return Phase.ONLINE
    if node.report.by_file:
        return Phase.BY_FILE
    return Phase.OFFLINE if node.last_seen_unix_ms else Phase.JOINED


def progress(node: Node, deployment: Deployment, fleet: Fleet) -> Progress:
    """How far `node` is with `deployment`, and why not further."""
    spec = deployment.spec
    wanted = fleet.releases.get((spec.model, spec.version), "")
    report = node.report.deployment(deployment.name) or DeploymentReport(deployment.name)
    step, message = _step(node, report, wanted)
    unsigned = (spec.model, spec.version) in fleet.unsigned and node.report.trust is not None
    if unsigned and step not in (Step.UPDATED, Step.FAILED):
        release = f"{spec.model}@{spec.version}"
        step, message = Step.WAITING, f"waits for a signature: run 'longshore sign {release}' where a release key is"
    about = (report.state, report.active_digest, report.variant, report.shadow, node.report.trust)
    return Progress(node.name, step, message, *about)


def _step(node: Node, report: DeploymentReport, wanted: str) -> tuple[Step, str]:
    if not wanted:
        return Step.WAITING, "waits for the release to be pushed"
    # A refusal is of one release: a box that refused an older one is free to try this one.
    failed = report.state == "FAILED" and report.target_digest in {"", wanted}
    if failed or wanted in report.refused_digests:
        return Step.FAILED, f"refused the release: {report.message or 'it gave no reason'}"
    if report.active_digest == wanted and report.state not in _UNDER_WAY:
        return Step.UPDATED, "runs the release"
    if not node.online:
        return Step.WAITING, _absence(node)
    if report.held and report.target_digest == wanted:
        return Step.WAITING, report.message + _share(report)
    doing = _UNDER_WAY.get(report.state, "has not started to pull the release")
    return Step.UPDATING, doing + _share(report) + (f": {report.message}" if report.message else "")


def _share(report: DeploymentReport) -> str:
    if report.state != "PULLING" or not report.bytes_total:
        return ""
    return f" ({100 * report.bytes_done // report.bytes_total} % of {_size(report.bytes_total)})"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"


def _absence(node: Node) -> str:
    if not node.last_seen_unix_ms:
        return "has joined and never called; start 'longshore-agent run' on it"
    if node.report.by_file:
        return f"reports by file, last written {_utc(node.last_seen_unix_ms)}"
    return f"is offline, last heard {_utc(node.last_seen_unix_ms)}"


def _utc(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def boxes(deployment: Deployment, fleet: Fleet) -> list[Progress]:
    """How far each selected box is, by name; cloud nodes included; none where `fleet` was read after it was deleted."""
    return [progress(node, deployment, fleet) for node in fleet.running.get(deployment.name, ())]


def node_conditions(node: Node, fleet: Fleet) -> list[Condition]:
    return [_node_ready(node), _node_converged(node, fleet), *_trust_fresh(node)]


def _node_ready(node: Node) -> Condition:
    if node.online:
        return _condition(READY, "Online", f"{node.name} calls in", ok=True)
    reason = phase(node).value if node.last_seen_unix_ms else "NeverCalled"
    return _condition(READY, reason, f"{node.name} {_absence(node)}", ok=False)


def _trust_fresh(node: Node) -> list[Condition]:
    """By the box's own clock, since that is what it goes by. Nothing of agents of before 0.2."""
    trust = node.report.trust
    if trust is None:
        return []
    if not trust.timestamp_version:
        message = f"{node.name} has never proven the signed metadata, so it installs nothing; see its log"
        return [_condition(TRUST_FRESH, "Never", message, ok=False)]
    if trust.expires_unix_ms <= node.report.clock_unix_ms:
        message = (
            f"the signed metadata of {node.name} expired {_utc(trust.expires_unix_ms)} by its own clock, so it "
            "installs nothing new and goes on with what it runs; see its clock, its log, and 'longshore keys'"
        )
        return [_condition(TRUST_FRESH, "Expired", message, ok=False)]
    message = f"{node.name} proved the signed metadata, good until {_utc(trust.expires_unix_ms)}"
    return [_condition(TRUST_FRESH, "Fresh", message, ok=True)]


def _node_converged(node: Node, fleet: Fleet) -> Condition:
    for deployment in fleet.wanted[node.name]:
        step = progress(node, deployment, fleet)
        if step.step is not Step.UPDATED:
            message = f"{node.name} {step.message} (deployment {deployment.name})"
            return _condition(CONVERGED, step.step.value, message, ok=False)
    observed, wanted = node.report.observed_generation, node.desired_generation
    if observed != wanted:
        why = "" if node.online else f" and {_absence(node)}"
        message = f"{node.name} acts on generation {observed} of {wanted}{why}"
        return _condition(CONVERGED, "Behind", message, ok=False)
    return _condition(CONVERGED, "Converged", f"{node.name} runs what it should", ok=True)


def camera_conditions(camera: Camera, node: Node | None) -> list[Condition]:
    report = camera_report(camera, node)
    conditions = [_camera_ready(camera, node, report)]
    if report.refused_spec:
        message = f"{camera.spec.node} refused the newest spec and keeps the last good one: {report.refused_spec}"
        conditions.append(_condition(SPEC_ACCEPTED, "Refused", message, ok=False))
    return conditions


def camera_report(camera: Camera, node: Node | None) -> CameraReport:
    return (node.report.camera(camera.name) if node else None) or CameraReport(camera.name)


def camera_state(camera: Camera, node: Node | None) -> str:
    """What the box last said, or "unknown" while nobody there can say."""
    if node is None or not node.online:
        return "unknown"
    return camera_report(camera, node).state or "starting"


def _camera_ready(camera: Camera, node: Node | None, report: CameraReport) -> Condition:
    if node is None:
        message = (
            f"node {camera.spec.node} has not joined; make a token with 'longshore token create {camera.spec.node}'"
        )
        return _condition(READY, "NodeUnknown", message, ok=False)
    if node.role == CLOUD:
        message = f"node {node.name} is a cloud node and runs no cameras; name an edge node in spec.node"
        return _condition(READY, "NodeIsCloud", message, ok=False)
    if not node.online:
        return _condition(READY, "NodeOffline", f"{node.name} {_absence(node)}", ok=False)
    state = camera_state(camera, node)
    if state == "running":
        got = f"{node.name} gets pictures from {camera.name}"
        return _condition(READY, "Running", got + _fewer(camera, node), ok=True)
    why = report.reason or f"{node.name} has not said why yet"
    return _condition(READY, state.capitalize(), f"{camera.name} is {state}: {why}", ok=False)


def lowered_rate(camera: Camera, node: Node | None) -> float | None:
    """Frames a second that are due of it now, where overload has lowered them."""
    rate = camera_report(camera, node).lowered_rate
    return round(rate, 2) if node and node.online and 0 < rate < camera.spec.rate else None


def _fewer(camera: Camera, node: Node) -> str:
    rate = lowered_rate(camera, node)
    if rate is None:
        return ""
    return f", {rate:g} of its {camera.spec.rate:g} frames a second: more came than were answered in time"


def deployment_conditions(deployment: Deployment, steps: list[Progress], fleet: Fleet) -> list[Condition]:
    found = [_deployment_ready(deployment, steps), _deployment_converged(deployment, steps, fleet.releases)]
    return [*found, *_watching(deployment.spec, fleet), *_terms_fit(deployment.spec, fleet)]


def _terms_fit(spec: DeploymentSpec, fleet: Fleet) -> list[Condition]:
    """A camera may come later and its rate may change, so neither is refused: all are told as long as they last."""
    if not spec.terms.cameras and spec.terms.floor_rate <= terms.AS_EVER.floor_rate:
        return []
    found = misfits(spec, selection(spec, fleet))
    if not found:
        return []
    return [_condition(TERMS_FIT, found[0][0], ". ".join(message for _, message in found), ok=False)]


def misfits(spec: DeploymentSpec, chosen: Selection) -> list[tuple[str, str]]:
    """Reason and sentence of each way in which the terms miss the cameras that `spec` chooses."""
    cameras = {camera.name: camera for camera in chosen.cameras}
    found = []
    if unknown := [name for name in spec.terms.cameras if name not in cameras]:
        message = f"spec.terms names {_listed(unknown)}, which this deployment does not see; check the name"
        found.append(("UnknownCamera", message))
    if slow := [name for name, camera in cameras.items() if camera.spec.rate < spec.terms.floor_rate]:
        message = (
            f"spec.terms.floorRate of {spec.terms.floor_rate:g} is above the rate of {_listed(slow)}, so overload "
            "never lowers these; lower it or raise their rate"
        )
        found.append(("FloorAboveRate", message))
    return found


def _watching(spec: DeploymentSpec, fleet: Fleet) -> list[Condition]:
    """It converges, and cameras show nothing: that has to be said where somebody waits for pictures."""
    task, asked = fleet.served_only.get((spec.model, spec.version)), spec.camera_selector != EVERYTHING
    if not task and not asked:
        return []
    chosen = selection(spec, fleet)
    if asked and chosen.nodes and not chosen.cameras:
        message = (
            f"no camera of {_count(len(chosen.nodes))} matches cameraSelector ({spec.camera_selector}), so nothing is "
            "looked at; give a camera these labels, or choose others"
        )
        return [_condition(WATCHING, "NoCameraSelected", message, ok=False)]
    return [_served_only(spec, task)] if task and chosen.cameras else []


def _served_only(spec: DeploymentSpec, task: str) -> Condition:
    message = (
        f"cameras show nothing of {spec.model} {spec.version}: it is a {task} release, which finds no boxes; it is "
        f"served to applications, and 'longshore try {spec.model}@{spec.version} --source VIDEO' shows what it says"
    )
    return _condition(WATCHING, "ServedOnly", message, ok=False)


def _deployment_ready(deployment: Deployment, steps: list[Progress]) -> Condition:
    of_agent = deployment.spec.model == AGENT_MODEL  # who reports runs one, of whatever release
    silent = [step for step in steps if not step.active_digest and not of_agent]
    if not steps:
        return _condition(READY, "NoBoxSelected", "no box is selected", ok=False)
    if silent:
        message = f"no release answers on {_names(silent)}"
        return _condition(READY, "NotAnswering", message, ok=False)
    what = "an agent runs" if of_agent else "a release answers"
    return _condition(READY, "Answering", f"{what} on {_count(len(steps))}", ok=True)


def _deployment_converged(deployment: Deployment, steps: list[Progress], releases: Releases) -> Condition:
    spec = deployment.spec
    release = f"{spec.model} {spec.version}"
    if (spec.model, spec.version) not in releases:
        message = f"release {release} is not in the registry; push it with 'longshore push DIR'"
        return _condition(CONVERGED, "ReleaseMissing", message, ok=False)
    if not steps:
        chosen = str(spec.node_selector) or "every node"
        message = f"no box matches the selectors ({chosen}); label one with metadata.labels or join one"
        return _condition(CONVERGED, "NoBoxSelected", message, ok=False)
    for step in (Step.FAILED, Step.UPDATING, Step.WAITING):
        left = [item for item in steps if item.step is step]
        if left:
            done = sum(item.step is Step.UPDATED for item in steps)
            message = f"{done} of {_count(len(steps))} run {release}; {_sentences(left)}"
            return _condition(CONVERGED, step.value, message, ok=False)
    return _condition(CONVERGED, "Converged", f"all of {_count(len(steps))} run {release}", ok=True)


def _sentences(steps: list[Progress]) -> str:
    said = "; ".join(f"{step.node} {step.message}" for step in steps[:_NAMED])
    more = len(steps) - _NAMED
    return f"{said}; and {more} more" if more > 0 else said


def _names(steps: list[Progress]) -> str:
    return _listed([step.node for step in steps])


def _listed(names: Sequence[str]) -> str:
    named = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _count(boxes: int) -> str:
    return "1 box" if boxes == 1 else f"{boxes} boxes"


def _condition(kind: str, reason: str, message: str, *, ok: bool) -> Condition:
    return Condition(kind, "True" if ok else "False", reason, message, 0)


def dated(conditions: Iterable[Condition], earlier: Transitions, now_ms: int) -> list[Condition]:
    """The conditions with the moment their status last changed, given what was known before."""
    return [
        replace(item, since_unix_ms=since if status == item.status else now_ms)
        for item in conditions
        for status, since in [earlier.get(item.type, ("", 0))]
    ]


def transitions(conditions: Iterable[Condition]) -> dict[str, tuple[str, int]]:
    """What to store of dated conditions, so that `dated` can carry their moments on."""
    return {item.type: (item.status, item.since_unix_ms) for item in conditions}
