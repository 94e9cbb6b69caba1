"""Why a frame went where it went, as its box tells it to who asks. Values; nothing of this is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protos.ids import CameraName


@dataclass(frozen=True)
class FrameWish:
    """What somebody waits for: the account of a frame of a camera."""

    camera: CameraName
    seq: int = 0  # 0: the newest that ended
    deployment: str = ""  # "": each that the camera feeds
    number: int = 0


@dataclass(frozen=True)
class ActionScore:
    """One action, as it looked when it was decided; worth, price and score in units of a frame's value."""

    action: str
    worth: float
    on_time: float  # probability
    price: float
    score: float
    why_not: str


@dataclass(frozen=True)
class FrameAccount:
    """Of one deployment."""

    deployment: str
    seq: int
    captured_unix_ms: int
    chosen: str
    why: str  # in one sentence
    scores: tuple[ActionScore, ...] = ()
    propensity: float = 1.0
    features: Mapping[str, float] = field(default_factory=dict)  # in base units
    size: str = ""  # of the model, where it ran on the box
    why_size: str = ""
    outcome: str = ""
    latency_ms: float = 0.0
    ran_on: str = ""
    uplink_bytes: int = 0


@dataclass(frozen=True)
class FrameAccounts:
    """Answers a wish: accounts, or why there is none."""

    wish: int
    camera: CameraName
    accounts: tuple[FrameAccount, ...] = ()
    failure: str = ""
