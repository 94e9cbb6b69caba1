"""How a frame ended. Every frame that was due ends in exactly one Outcome; the counts add up to the frames due."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    OK_LOCAL = "ok_local"  # answered on the box by the deadline
    OK_CLOUD = "ok_cloud"  # answered by a cloud node by the deadline
    OK_HEDGE = "ok_hedge"  # sent to the cloud and run locally too; the local answer came first, by the deadline
    STALE_TRACK = "stale_track"  # answered by the tracker's prediction, no inference
    SUPERSEDED = "superseded"  # a newer frame of the same camera took its place before it started
    SHED = "shed"  # given up on purpose: it could not have met its deadline
    EXPIRED = "expired"  # its deadline passed first (a late local answer included)
    CLOUD_LATE = "cloud_late"  # sent to the cloud, no answer by the deadline
    ERROR = "error"  # a worker, model or wire failed it


IN_TIME = frozenset({Outcome.OK_LOCAL, Outcome.OK_CLOUD, Outcome.OK_HEDGE})
