"""What a box says about itself at each Sync, as frozen values; stored as JSON in its row.

Everything in here was written by a box: names may be of objects deleted since, texts are cut and scrubbed of
credentials on the way in (`servicer`), and nothing in it decides who the box is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from controlplane.shape import moment_or_never
from protos.errors import Rejected

ROUTES = ("local", "small", "cloud", "hedge", "shed")  # that a frame can take, as a DecisionReport counts them


@dataclass(frozen=True)
class Inventory:
    agent_version: str = ""
    os: str = ""
    cpu_cores: int = 0
    memory_bytes: int = 0
    disk_free_bytes: int = 0
    providers: tuple[str, ...] = ()
    inference_grpc_url: str = ""
    inference_http_url: str = ""
    metrics_url: str = ""


@dataclass(frozen=True)
class ShadowReport:
    """Of a release that is compared with what answers: frames by how it went, and the mean inference of both."""

    digest: str
    message: str = ""  # why it sees no frames, completing "it …"
    agreed: int = 0
    differed: int = 0
    failed: int = 0
    infer_seconds: float = 0.0
    active_infer_seconds: float = 0.0

    @property
    def answered(self) -> int:
        return self.agreed + self.differed

    @property
    def agreed_share(self) -> float:
        """Of those that it answered; 0 where it answered none."""
        return self.agreed / self.answered if self.answered else 0.0


@dataclass(frozen=True)
class CallCost:
    """What a call of the model costs: seconds for each frame in it, and seconds beside."""

    frame_seconds: float
    call_seconds: float


@dataclass(frozen=True)
class DecisionReport:
    """How a box decides about a deployment's frames: shares of the last `frames` of them, and what moves them."""

    frames: int = 0
    local: float = 0.0
    small: float = 0.0
    cloud: float = 0.0
    hedge: float = 0.0
    shed: float = 0.0
    load: float = 0.0  # inference that arrives, of what the box can do
    bits_per_second: float = 0.0  # of the link to the cloud; 0: there is none
    rtt_seconds: float = 0.0
    bits_left: float | None = None  # None: nothing may be sent
    money_left: float | None = None  # None: no limit
    prices: dict[str, float] = field(default_factory=dict)  # of a unit of each budget, in values of a frame
    rung: str = ""
    rung_why: str = ""
    why: str = ""


@dataclass(frozen=True)
class DeploymentReport:
    name: str
    state: str = ""
    active_digest: str = ""
    target_digest: str = ""
    message: str = ""
    refused_digests: tuple[str, ...] = ()
    bytes_done: int = 0
    bytes_total: int = 0
    variant: str = ""  # of what answers; "": an agent of before 0.2
    shadow: ShadowReport | None = None
    cost: CallCost | None = None  # of what answers; None: nothing does, or an agent of before 0.2
    held: bool = False  # nothing is fetched now, by the rules of the download
    decision: DecisionReport | None = None  # None: no frame comes, or an agent of before 0.2


@dataclass(frozen=True)
class CameraReport:
    name: str
    state: str = ""
    reason: str = ""
    frames_per_second: float = 0.0
    last_frame_unix_ms: int = 0
    width: int = 0
    height: int = 0
    restarts: int = 0
    refused_spec: str = ""
    lowered_rate: float = 0.0  # frames a second that are due under overload; 0: as its spec says


@dataclass(frozen=True)
class Problem:
    code: str
    message: str


@dataclass(frozen=True)
class TrustReport:
    """What the box last proved of the signed metadata; moments by its own clock, 0 for never."""

    root_version: int = 0
    timestamp_version: int = 0
    refreshed_unix_ms: int = 0
    expires_unix_ms: int = 0


@dataclass(frozen=True)
class Report:
    observed_generation: int = 0
    boot_id: str = ""
    inventory: Inventory = field(default_factory=Inventory)
    deployments: tuple[DeploymentReport, ...] = ()
    cameras: tuple[CameraReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    clock_unix_ms: int = 0
    epoch: str = ""
    trust: TrustReport | None = None  # None: an agent of before 0.2, which asks for no signature
    silent_seconds: int = 0  # it may be well and not be heard for so long; 0: it calls in at each interval
    by_file: bool = False  # it was carried here, and is as old as its clock says

    def deployment(self, name: str) -> DeploymentReport | None:
        return next((item for item in self.deployments if item.name == name), None)

    def camera(self, name: str) -> CameraReport | None:
        for item in self.cameras:  # asked for each camera of a fleet: a generator would cost more than the looking
            if item.name == name:
                return item
        return None


def news(before: Report, told: Report, now_ms: int) -> bool:
    """Whether a report that was carried here says more than what is known. Raises Rejected: it is older.

    By the box's own clock; what a clock ahead of ours has said is no measure.
    """
    if told.clock_unix_ms > before.clock_unix_ms or before.clock_unix_ms > now_ms:
        return True
    if told.clock_unix_ms == before.clock_unix_ms:
        return False
    raise Rejected(
        f"this report was written {moment_or_never(told.clock_unix_ms)}, and one of "
        f"{moment_or_never(before.clock_unix_ms)} is known; nothing was changed: bring the newest"
    )
