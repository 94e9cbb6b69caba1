"""How a frame ended. Every frame that was due ends in exactly one Outcome; the counts add up to the frames due."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    OK_LOCAL = "ok_local"  # answered on the box by the deadline
    OK_CLOUD = "ok_cloud"  # answered by a cloud node by the deadline
    OK_HEDGE = "ok_hedge"  # sent to the cloud and run locally too; the local answer came first, by the deadline
    STALE_TRACK = "stale_track"  # nothing moved in it: it has the answer of the frame looked at last
    SUPERSEDED = "superseded"  # a newer frame of the same camera took its place before it started
    SHED = "shed"  # given up on purpose: it could not have met its deadline
    EXPIRED = "expired"  # its deadline passed first (a late local answer included)
    CLOUD_LATE = "cloud_late"  # sent to the cloud, no answer by the deadline
    ERROR = "error"  # a worker, model or wire failed it


class Stage(StrEnum):
    """Where the time of an answered frame went, capture to answer, in this order."""

    DECODE = "decode"  # out of the stream, into the shape the model takes
    WAIT = "wait"  # for the engine, or to be sent
    INFER = "infer"  # on the box
    ENCODE = "encode"  # as a picture for the cloud
    CLOUD = "cloud"  # there and back
    ANSWER = "answer"  # from the engine to its outcome


# What people read instead, wherever an outcome is shown.
WORDS: dict[Outcome, str] = {
    Outcome.OK_LOCAL: "on the box",
    Outcome.OK_CLOUD: "in the cloud",
    Outcome.OK_HEDGE: "hedged",
    Outcome.STALE_TRACK: "still",
    Outcome.SUPERSEDED: "superseded",
    Outcome.SHED: "shed",
    Outcome.EXPIRED: "expired",
    Outcome.CLOUD_LATE: "cloud late",
    Outcome.ERROR: "error",
}

IN_TIME = frozenset({Outcome.OK_LOCAL, Outcome.OK_CLOUD, Outcome.OK_HEDGE})

# Upper ends (included) of the buckets in which latencies are counted, in milliseconds; one more bucket takes what is
# beyond. Steps of a quarter: fine enough to read percentiles off, and the usual bounds of metrics are among them.
LATENCY_BOUNDS_MS: tuple[float, ...] = (
    *(1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8),
    *(10, 12.5, 16, 20, 25, 32, 40, 50, 63, 80),
    *(100, 125, 160, 200, 250, 320, 400, 500, 630, 800),
    *(1000, 1250, 1600, 2000, 2500),
)
