"""HTTP bodies of the fleet, as OpenAPI shows them. `envelope` makes the answers; `changes` and `specs` check requests.

Requests are taken as plain JSON objects, so that every refusal is one of our sentences; these classes document them.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal

from pydantic import Field

from controlplane.fleet import accounts
from controlplane.fleet.desired import DesiredState
from controlplane.listing import ListMetadata
from controlplane.schemas import Answer, Metadata
from controlplane.shape import moment_or_never


class Condition(Answer):
    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str


class Requirement(Answer):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)


class LabelSelector(Answer):
    """Empty selects everything."""

    match_labels: dict[str, str] = Field(default_factory=dict, description="each label must have this value")
    match_expressions: list[Requirement] = Field(default_factory=list, description="and each of these must hold")


class NodeSpec(Answer):
    """What an operator sets on a box."""

    paused: bool = Field(default=False, description="true: no frame is taken from its cameras")
    slow_down: str = Field(default="0s", description="waiting added to each inference, up to 10s")


class Inventory(Answer):
    agent_version: str
    os: str
    cpu_cores: int
    memory_bytes: int
    disk_free_bytes: int
    providers: list[str]
    inference_grpc_url: str
    inference_http_url: str
    metrics_url: str


class ShadowStatus(Answer):
    """Frames that a box showed to the shadow of what answers, by how the two compare; and the mean of both."""

    digest: str
    answered: int
    agreed: int
    agreed_share: float = Field(description="of those answered; 0: it answered none")
    differed: int
    failed: int = Field(description="frames that it did not answer, or not within 2 s")
    infer_seconds: float = Field(description="at most: it runs on processor time that is left over")
    active_infer_seconds: float = Field(description="of the release that answers, on the same frames")
    message: str = Field(description="why it sees no frames; empty: it does")


class TrustStatus(Answer):
    """What a box last proved of the signed metadata; moments by its own clock."""

    root_version: int = Field(description="0: it trusts no root yet")
    timestamp_version: int = Field(description="0: never")
    refreshed: str | None
    expires: str | None


class CostStatus(Answer):
    """What a call of n frames takes on a box, as it has learned: n times frameSeconds, and callSeconds."""

    frame_seconds: float
    call_seconds: float


class Routes(Answer):
    """Shares of frames by where they went; they add up to 1."""

    local: float
    small: float = Field(description="run on the box by a smaller size of the model")
    cloud: float
    hedge: float = Field(description="sent up, and run on the box too")
    shed: float = Field(description="given up")


class DecisionStatus(Answer):
    """How a box decides about frames now."""

    frames: int = Field(description="the last ones, which the routes are of")
    routes: Routes
    load: float = Field(description="inference that arrives, of what the box can do; above 1 it cannot do all")
    link_bits_per_second: int = Field(description="that the link to the cloud is thought to carry; 0: no cloud helps")
    link_seconds: float = Field(description="there and back, without transfer and inference")
    bits_left: int | None = Field(description="that may be sent now, of the uplink budget of a minute; null: none is")
    money_left: float | None = Field(description="of spec.terms.money, within 24 hours; null: no limit")
    prices: dict[str, float] = Field(description="of a unit of each budget, in values of a frame")
    rung: str = Field(description="of the ladder: gpu, other, cpu, cloud, lower_rate, nothing")
    rung_why: str
    why: str = Field(description="frames go where they go")


class NodeDeployment(Answer):
    name: str
    state: str
    active_digest: str
    target_digest: str
    refused_digests: list[str]
    bytes_done: int
    bytes_total: int
    variant: str
    cost: CostStatus | None = Field(description="of the variant that answers; null: none does")
    shadow: ShadowStatus | None
    decision: DecisionStatus | None = Field(description="null: no frame comes, or an agent of before 0.2")
    message: str


class NodeCamera(Answer):
    name: str
    state: str
    reason: str
    frames_per_second: float


class NodeProblem(Answer):
    code: str
    message: str


class NodeStatus(Answer):
    phase: Literal["Joined", "Online", "Offline", "ByFile"]
    role: str
    last_seen: str | None
    generation: int
    observed_generation: int
    inventory: Inventory
    deployments: list[NodeDeployment]
    cameras: list[NodeCamera]
    trust: TrustStatus | None = Field(description="null of agents before 0.2, which ask for no signature")
    problems: list[NodeProblem]
    conditions: list[Condition]


class Node(Answer):
    api_version: str
    kind: Literal["Node"]
    metadata: Metadata
    spec: NodeSpec
    status: NodeStatus


class Zone(Answer):
    """A named part of the picture."""

    name: str = Field(description="a-z, 0-9 and '-'")
    points: list[list[float]] = Field(
        description="3 to 32 corners in order, [x, y] from [0, 0], left top, to [1, 1], right bottom"
    )
    dwell_seconds: float = Field(default=0, description="a stay that long is told as an event; 0: none is")


class Line(Answer):
    """What crosses it is counted and told as an event."""

    name: str = Field(description="a-z, 0-9 and '-'")
    points: list[list[float]] = Field(
        description="two, [x, y]; left-to-right is seen looking from the first to the second"
    )


class Mask(Answer):
    """Where motion does not count, and nothing that is found is told."""

    name: str = Field(description="a-z, 0-9 and '-'")
    points: list[list[float]] = Field(description="3 to 32 corners in order, as those of a zone")


class Motion(Answer):
    """When its frames are looked at."""

    gate: bool = Field(default=False, description="true: frames in which nothing moves are passed over")
    every: str = Field(default="10s", description="and one of them is looked at so often all the same, 1s to 60s")


class CameraSpec(Answer):
    node: str = Field(description="the box that reads it; it may join later")
    source: str = Field(
        description="rtsp://…, file:///…, device:///dev/video0, synthetic://harbour?seed=1; credentials show as ***"
    )
    rate: float = Field(default=10, description="frames due per second")
    zones: list[Zone] = Field(default_factory=list, description="named parts of the picture, at most 16")
    lines: list[Line] = Field(default_factory=list, description="named lines across the picture, at most 16")
    masks: list[Mask] = Field(default_factory=list, description="parts of the picture that are left out, at most 16")
    motion: Motion = Field(default=Motion(), description="whether frames in which nothing moves are passed over")


class CameraStatus(Answer):
    state: str
    reason: str
    frames_per_second: float
    lowered_rate: float | None = Field(description="frames due a second under overload; null: as spec.rate says")
    last_frame: str | None
    width: int
    height: int
    restarts: int
    refused_spec: str
    conditions: list[Condition]


class Camera(Answer):
    api_version: str
    kind: Literal["Camera"]
    metadata: Metadata
    spec: CameraSpec
    status: CameraStatus


class Objective(Answer):
    deadline: str = Field(default="250ms", description="from capture to answer")
    latency_budget: str = Field(
        default="none",
        description="60ms, what one inference of a new release may take its model; a box where it takes longer goes "
        "back to the release before; none: no limit",
    )


class Offload(Answer):
    enabled: bool = Field(default=True, description="whether cloud nodes may answer for a box that is overloaded")
    uplink: str = Field(default="4Mbit/s", description="what a box may send for this deployment")
    jpeg_quality: int = Field(default=80, ge=1, le=100, description="of the pictures that it sends")


class Shadow(Answer):
    release: str = Field(default="", description="a candidate, as NAME@VERSION; empty: none")
    share: float = Field(default=0.1, gt=0, le=1, description="of the frames, as far as boxes have time for them")


class Download(Answer):
    rate: str = Field(default="none", description="what a box may take for this deployment, 2Mbit/s; none: no cap")
    window: str = Field(
        default="always",
        description="22:00-05:00, of each box's own time, or 22:00-05:00 Europe/Berlin; always: all day",
    )
    jitter: str = Field(default="0s", description="the last box begins so much later than the first, up to 1d")


class Costs(Answer):
    """What things cost, in one currency with `money`. default: what boxes assume."""

    data: str = Field(default="default", description="0.5 EUR/GB, of what is sent; by default 0.5 USD/GB")
    cloud: str = Field(
        default="default", description="0.0002 EUR/s, of a cloud node's inference; by default 0.0002 USD/s"
    )
    grid: str = Field(default="default", description="380 g/kWh, CO2 of the power; by default 400 g/kWh")


class Terms(Answer):
    """What answers are worth and what may be spent on them: limits of each box, for this deployment."""

    values: dict[str, float] = Field(
        default_factory=dict, description="by label, 0 to 1000: what a frame with such a thing in it is worth; else 1"
    )
    camera_values: dict[str, float] = Field(
        default_factory=dict, description="by camera, 0 to 1000: times what its frames are worth; else 1"
    )
    money: str = Field(default="none", description="2.50 EUR/day, for data and cloud inference; none: no limit")
    power: str = Field(default="none", description="15 W, that its inference may draw in the mean; none: no limit")
    carbon: str = Field(default="none", description="200 g/h of CO2, of that power; none: no limit")
    costs: Costs = Field(default=Costs(), description="what money and carbon are counted by")
    floor_rate: float = Field(
        default=1,
        ge=0,
        le=60,
        description="frames a second that overload leaves each camera, at least",
    )
    safety: bool = Field(default=False, description="true: prices do not apply; what may be sent still does")
    stays: list[str] | Literal["all"] = Field(
        default_factory=list, description="cameras of which no picture is sent to a cloud node, or all"
    )


class DeploymentSpec(Answer):
    model: str = Field(description="name of the model line")
    version: str = Field(description="the release, by its version; never an implicit newest one")
    node_selector: LabelSelector = Field(default=LabelSelector(), description="the boxes, by their labels")
    camera_selector: LabelSelector = Field(default=LabelSelector(), description="of their cameras, these")
    cloud_selector: LabelSelector = Field(default=LabelSelector(), description="the cloud nodes that may help")
    objective: Objective = Field(default=Objective(), description="what is aimed at")
    offload: Offload = Field(default=Offload(), description="when and how the cloud may help")
    min_score: float = Field(default=0.3, ge=0, le=1, description="detections below it are left out")
    classes: list[str] = Field(default_factory=list, description="labels to look for; empty: all the release has")
    detections_per_second: float = Field(default=2, ge=0, description="recorded per camera, at most")
    shadow: Shadow = Field(default=Shadow(), description="a release that is compared and never shown")
    download: Download = Field(default=Download(), description="when and how fast boxes fetch what they need")
    terms: Terms = Field(default=Terms(), description="what answers are worth and may cost, what stays on its box")
    events: bool = Field(default=True, description="whether boxes tell applications over MQTT what they record")


class Counts(Answer):
    desired: int
    updated: int
    failed: int


class DeploymentBox(Answer):
    node: str
    step: Literal["Updated", "Updating", "Waiting", "Failed"]
    state: str
    active_digest: str
    variant: str = Field(description="of the release that answers; empty of agents before 0.2")
    shadow: ShadowStatus | None
    trust: TrustStatus | None
    message: str


class DeploymentStatus(Answer):
    digest: str | None
    nodes: Counts
    boxes: list[DeploymentBox]
    conditions: list[Condition]


class Deployment(Answer):
    api_version: str
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec
    status: DeploymentStatus


class NodeList(Answer):
    api_version: str
    kind: Literal["NodeList"]
    metadata: ListMetadata
    items: list[Node]


class CameraList(Answer):
    api_version: str
    kind: Literal["CameraList"]
    metadata: ListMetadata
    items: list[Camera]


class DeploymentList(Answer):
    api_version: str
    kind: Literal["DeploymentList"]
    metadata: ListMetadata
    items: list[Deployment]


class Selection(Answer):
    """Names of what a Deployment's selectors choose, and what to know before it is applied."""

    nodes: list[str] = Field(description="edge nodes")
    cloud: list[str] = Field(description="cloud nodes")
    cameras: list[str] = Field(description="of the edge nodes")
    warnings: list[str] = Field(description="what to know before it is applied, a sentence each")


class LogLine(Answer):
    time: str
    level: str
    logger: str
    message: str
    number: int  # give the last one as `after` to get what came since


class LogLines(Answer):
    items: list[LogLine]


class ActionScore(Answer):
    """One action, as it looked when it was decided; worth, price and score are in units of a frame's value."""

    action: str
    worth: float = Field(description="value of the frame, times the probability of an answer that is right and in time")
    on_time: float = Field(description="probability of an answer in time")
    price: float = Field(description="of what it takes of the budgets, at what these cost then")
    score: float = Field(description="what actions are compared by: worth, less price")
    why_not: str = Field(description="in a few words; empty: it was chosen")


class FrameAccount(Answer):
    """Why a frame went where it went, for one deployment."""

    deployment: str
    seq: int
    captured: str | None
    scores: list[ActionScore] = Field(description="of what was weighed")
    chosen: str = Field(description="local, cloud, hedge, late, cascade or shed")
    why: str = Field(description="in one sentence")
    propensity: float = Field(description="share of such frames that go this way: 1, but where two ways are as good")
    features: dict[str, float] = Field(description="what the scores were made from, in base units")
    size: str = Field(description="of the model, where it ran on the box; empty: it has one")
    why_size: str = Field(description="why in no larger one")
    outcome: str
    latency_ms: float = Field(description="capture to end")
    ran_on: str = Field(description="local, or the cloud node's name")
    uplink_bytes: int


class FrameAccounts(Answer):
    node: str
    camera: str
    accounts: list[FrameAccount] = Field(description="one for each deployment that the frame was for")


class ExportAnswer(Answer):
    node: str
    releases: dict[str, list[str]] = Field(description="digests of manifests that each deployment wants, by its name")
    state: str = Field(description="base64 of boxes/NODE.state: protos/fleet.proto Carried")


class ReportAnswer(Answer):
    node: str
    written: str | None = Field(description="by the clock of the box")
    news: bool = Field(description="false: this very report was known")


class DesiredAnswer(Answer):
    generation: int
    desired: dict[str, Any]  # protos/fleet.proto: DesiredState


def accounts_of(node: str, told: accounts.FrameAccounts) -> FrameAccounts:
    items = []
    for each in told.accounts:
        scores = [ActionScore(**vars(score)) for score in each.scores]
        known = {name: value for name, value in vars(each).items() if name != "captured_unix_ms"}
        items.append(FrameAccount(**{**known, "scores": scores}, captured=moment_or_never(each.captured_unix_ms)))
    return FrameAccounts(node=node, camera=told.camera, accounts=items)


def exported(node: str, state: DesiredState, file: bytes) -> ExportAnswer:
    wanted = {each.name: [each.digest, *([each.shadow.digest] if each.shadow else [])] for each in state.deployments}
    return ExportAnswer(node=node, releases=wanted, state=b64encode(file).decode())


def documented(answer: type[Answer], spec: type[Answer] | None = None) -> dict[str, Any]:
    """Route arguments that show these bodies in OpenAPI without checking them again at run time."""
    shown: dict[str, Any] = {"responses": {200: {"model": answer}}, "response_model": None}
    if spec is not None:
        shown["responses"][201] = {"model": answer, "description": "It was not there and is now"}
        content = {"application/json": {"schema": _object(answer.__name__, spec)}}
        shown["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return shown


def _object(kind: str, spec: type[Answer]) -> dict[str, Any]:
    """JSON schema of what a PUT takes: an object without what only the server writes."""
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    fields = {
        "apiVersion": {"const": "longshore/v1"},
        "kind": {"const": kind},
        "metadata": {"type": "object", "properties": {"labels": texts, "annotations": texts}},
        "spec": _inlined(spec.model_json_schema()),
    }
    return {"type": "object", "required": ["spec"], "properties": fields}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$defs` put where they are named: a fragment inside OpenAPI has no root of its own."""
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref") or "").rpartition("/")[2]
            return resolved({**definitions[name], **value, "$ref": None}) if name else _without_none(value, resolved)
        return [resolved(item) for item in value] if isinstance(value, list) else value

    whole: dict[str, Any] = resolved(schema)
    return whole


def _without_none(value: dict[str, Any], resolved: Any) -> dict[str, Any]:
    return {key: resolved(item) for key, item in value.items() if not (key == "$ref" and item is None)}
