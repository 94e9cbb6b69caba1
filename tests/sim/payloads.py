"""The other side of agent.telemetry.payload: what a control plane reads of a payload, by its first byte."""

from __future__ import annotations

import zlib

from google.protobuf import json_format

from protos import telemetry_pb2 as wire


def read(payload: bytes) -> wire.TelemetryBatch:
    content = zlib.decompress(payload) if payload[:1] == b"\x78" else payload
    if content[:1] == b"{":
        return json_format.Parse(content, wire.TelemetryBatch())
    return wire.TelemetryBatch.FromString(content)
