"""HTTP bodies of the settings, as OpenAPI shows them. `domain` checks requests and makes answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from controlplane.listing import ListMetadata
from controlplane.schemas import Answer, Metadata


class Kept(Answer):
    retention: str = Field(default="7d", description="a duration, from 1m to 3650d")


class Levels(Kept):
    """How long telemetry is kept as it came, by minute and by hour; a coarser level never shorter than a finer one."""

    minutes: str = Field(default="30d", description="sums by minute of outcomes and of figures of boxes")
    hours: str = Field(default="800d", description="the same by hour")


class Quota(Answer):
    quota: str = Field(default="none", description='a size such as "20GiB", or "none"')


class OutboxQuota(Answer):
    quota: str = Field(default="256MiB", description='a size such as "1GiB"')


class Boxes(Answer):
    """Of each box's disk."""

    releases: Quota = Field(default=Quota(), description="releases that answer or are to come")
    outbox: OutboxQuota = Field(default=OutboxQuota(), description="telemetry that waits")


class Lifetimes(Answer):
    """Of what is signed online: how long a box that hears nothing more installs new releases. From 1h to 180d."""

    timestamp: str = Field(default="1d", description="no longer than the other two; 30d to 90d without a network")
    snapshot: str = "30d"
    assign: str = "7d"


class SettingsSpec(Answer):
    detections: Kept = Field(default=Kept(), description="recorded results")
    telemetry: Levels = Field(default=Levels(), description="outcomes of frames, health of cameras, figures of boxes")
    registry: Quota = Field(default=Quota(), description="all files of releases together")
    boxes: Boxes = Field(default=Boxes(), description="of each box's disk")
    metadata: Lifetimes = Field(default=Lifetimes(), description="lives of what the control plane signs by itself")


class Settings(Answer):
    api_version: str
    kind: Literal["Settings"]
    metadata: Metadata
    spec: SettingsSpec
    status: dict[str, Any]


class SettingsList(Answer):
    api_version: str
    kind: Literal["SettingsList"]
    metadata: ListMetadata
    items: list[Settings]
