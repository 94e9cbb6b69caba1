"""All rows of the control plane. Shape only: SQL is in each folder's repository, rules are in its domain.

Times are whole Unix milliseconds (`_ms`), captures nanoseconds (`_ns`). JSON columns are replaced whole, never changed
in place: SQLAlchemy would not notice. An object's `generation` counts changes of its spec, `resource_version` changes
of anything. Secrets are stored as SHA-256 only. Telemetry is named by (node_id, epoch, seq), which makes storing it
twice harmless; it has no foreign keys, so that it outlives what it speaks of. Most of it is partitioned by time on
PostgreSQL (controlplane.partitions); what it is summed up to stands in controlplane.rollups.tables.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]
_NAME = String(63)
_DIGEST = String(71)
_BY_DAY = {"postgresql_partition_by": "RANGE (told_day)"}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, int: BigInteger}


class ObjectColumns:
    """What every object of the API has beside its name, spec and status."""

    uid: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid4()))
    labels: Mapped[Json] = mapped_column(default=dict)
    annotations: Mapped[Json] = mapped_column(default=dict)
    generation: Mapped[int] = mapped_column(default=1)
    resource_version: Mapped[int] = mapped_column(default=1)
    created_ms: Mapped[int]


# ---- objects ----


class Node(ObjectColumns, Base):
    __tablename__ = "nodes"

    id: Mapped[str] = mapped_column(_NAME, primary_key=True)
    role: Mapped[str] = mapped_column(String(16), default="edge")
    spec: Mapped[Json] = mapped_column(default=dict)  # {"paused": bool, "slow_down_ms": int}
    status: Mapped[Json] = mapped_column(default=dict)  # {"conditions": […]}
    inventory: Mapped[Json] = mapped_column(default=dict)  # of the last Sync
    report: Mapped[Json] = mapped_column(default=dict)  # deployments, cameras, problems of the last Sync
    boot_id: Mapped[str] = mapped_column(String(64), default="")
    epoch: Mapped[str] = mapped_column(String(64), default="")
    last_seen_ms: Mapped[int | None]
    online: Mapped[bool] = mapped_column(default=False)
    desired_generation: Mapped[int] = mapped_column(default=0)  # what the box is told; see fleet
    desired_hash: Mapped[str] = mapped_column(String(64), default="")
    observed_generation: Mapped[int] = mapped_column(default=0)
    watch_until_ms: Mapped[int] = mapped_column(default=0)
    deleted_ms: Mapped[int | None]


class Certificate(Base):
    """Each certificate ever given to a box: identity is looked up here at every call."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)  # hex
    node_id: Mapped[str] = mapped_column(_NAME, ForeignKey("nodes.id", ondelete="CASCADE"), index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the DER, hex
    public_key: Mapped[str] = mapped_column(String(64))  # SHA-256 of its SubjectPublicKeyInfo, hex
    created_ms: Mapped[int]
    not_after_ms: Mapped[int]
    revoked_ms: Mapped[int | None]


class Camera(ObjectColumns, Base):
    __tablename__ = "cameras"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    node_id: Mapped[str] = mapped_column(_NAME, index=True)  # may join later: no foreign key
    source: Mapped[str] = mapped_column(Text)  # with credentials: never shown whole
    rate: Mapped[float]
    zones: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # [{"name", "points": [[x, y]]}]
    lines: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # the same, of two points
    masks: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # the same
    motion: Mapped[Json] = mapped_column(default=dict, server_default="{}")  # {"gate", "every_ms"}
    status: Mapped[Json] = mapped_column(default=dict)


class Model(ObjectColumns, Base):
    __tablename__ = "models"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)


class Release(ObjectColumns, Base):
    """Immutable: a row is written once and never updated. What once was stored stays readable, whatever rules come."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("model", "version"),)

    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # <model>-<version>, made safe for URLs
    model: Mapped[str] = mapped_column(_NAME, ForeignKey("models.name"))
    version: Mapped[str] = mapped_column(_NAME)
    digest: Mapped[str] = mapped_column(_DIGEST, unique=True)
    manifest: Mapped[bytes] = mapped_column(LargeBinary)  # the very bytes that were pushed
    task: Mapped[str] = mapped_column(String(32))
    measured: Mapped[Json] = mapped_column(default=dict, server_default="{}")  # {path: [peak bytes, microseconds]}


class ReleaseFile(Base):
    __tablename__ = "release_files"

    release: Mapped[str] = mapped_column(String(128), ForeignKey("releases.name", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[str] = mapped_column(_DIGEST, index=True)
    size: Mapped[int]
    role: Mapped[str] = mapped_column(String(16))


class DeletedRelease(Base):
    """Which content a version had: it stays the only one, though release and model are gone. No foreign key."""

    __tablename__ = "deleted_releases"

    model: Mapped[str] = mapped_column(_NAME, primary_key=True)
    version: Mapped[str] = mapped_column(_NAME, primary_key=True)
    digest: Mapped[str] = mapped_column(_DIGEST)
    deleted_ms: Mapped[int]


class Deployment(ObjectColumns, Base):
    __tablename__ = "deployments"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    spec: Mapped[Json]  # a DeploymentSpec, field by field
    status: Mapped[Json] = mapped_column(default=dict)


class Settings(ObjectColumns, Base):
    """One row, `fleet`."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    spec: Mapped[Json]  # a settings.domain.Spec, field by field


class Run(ObjectColumns, Base):
    """One training. Its log, progress and checkpoints lie with the executor."""

    __tablename__ = "runs"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    recipe: Mapped[str] = mapped_column(_NAME)
    model: Mapped[str] = mapped_column(_NAME)
    version: Mapped[str] = mapped_column(_NAME)
    settings: Mapped[Json]  # all of the recipe's, by name
    phase: Mapped[str] = mapped_column(String(16), index=True)
    attempt: Mapped[int] = mapped_column(default=0)
    killed: Mapped[int] = mapped_column(default=0)
    started_ms: Mapped[int] = mapped_column(default=0)
    ended_ms: Mapped[int] = mapped_column(default=0)
    conditions: Mapped[list[Any]] = mapped_column(default=list)  # of each phase it was in, Condition field by field
    progress: Mapped[Json] = mapped_column(default=dict)  # a training.progress.Progress, field by field
    release: Mapped[str] = mapped_column(String(128), default="")
    kept: Mapped[bool] = mapped_column(default=True)


# ---- identity ----


class JoinToken(Base):
    __tablename__ = "join_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    node_id: Mapped[str | None] = mapped_column(_NAME)  # None: the box says its name
    labels: Mapped[Json] = mapped_column(default=dict)
    role: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int]
    expires_ms: Mapped[int]
    used_ms: Mapped[int | None]
    used_by: Mapped[str | None] = mapped_column(_NAME)


class Person(ObjectColumns, Base):
    """Somebody who may sign in. The first one, `admin`, has no row (identity.roles)."""

    __tablename__ = "people"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    role: Mapped[str] = mapped_column(String(16))


class ApiToken(Base):
    """Of a person, with that person's role, or of a service, with its own."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(_NAME)
    person: Mapped[str | None] = mapped_column(_NAME, index=True)
    role: Mapped[str] = mapped_column(String(16), default="admin")
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_ms: Mapped[int]
    expires_ms: Mapped[int | None]
    last_used_ms: Mapped[int | None]
    revoked_ms: Mapped[int | None]  # deleted: the row stays, so that nothing brings the secret back


class SignInCode(Base):
    __tablename__ = "sign_in_codes"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str] = mapped_column(_NAME, default="admin")
    expires_ms: Mapped[int]
    used_ms: Mapped[int | None]


class Session(Base):
    """A signed-in browser."""

    __tablename__ = "sessions"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), default="")  # what it is called where it is listed; no secret
    person: Mapped[str] = mapped_column(_NAME, default="admin", index=True)
    browser: Mapped[str] = mapped_column(String(120), default="")  # as it calls itself
    last_used_ms: Mapped[int | None]
    created_ms: Mapped[int]
    expires_ms: Mapped[int]


class Upload(Base):
    """A file on its way in. How far it got is the blob store's to say."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[str] = mapped_column(_DIGEST, index=True)
    size: Mapped[int]
    created_ms: Mapped[int]


# ---- signed metadata ----


class SignedDocument(Base):
    """One version of one role, the very bytes that were signed. Replicas share it."""

    __tablename__ = "metadata"

    role: Mapped[str] = mapped_column(String(80), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_ms: Mapped[int]


class Proposal(Base):
    """Documents that wait for signatures of others. A closed one keeps its id, so that it never comes back."""

    __tablename__ = "proposals"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    documents: Mapped[Json]  # role → the text so far
    withdrawn: Mapped[list[Any]]  # paths of releases
    who: Mapped[str] = mapped_column(_NAME)
    created_ms: Mapped[int]
    expires_ms: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    closed_ms: Mapped[int] = mapped_column(default=0)
    closed_by: Mapped[str] = mapped_column(_NAME, default="")


class Listing(Base):
    """What the newest document of each model lists: a protos.trust.Listing. Written with that document."""

    __tablename__ = "listings"

    model: Mapped[str] = mapped_column(_NAME, primary_key=True)
    version: Mapped[str] = mapped_column(_NAME, primary_key=True)
    digest: Mapped[str] = mapped_column(_DIGEST)
    size: Mapped[int]
    task: Mapped[str] = mapped_column(String(32))
    number: Mapped[int]
    floor: Mapped[int]
    device_classes: Mapped[list[Any]]
    minimum_agent: Mapped[str] = mapped_column(_NAME)
    signed_ms: Mapped[int]
    signed_by: Mapped[str] = mapped_column(String(200))


# ---- telemetry ----


class RecordColumns:
    """The name of a record: told at least once, stored exactly once.

    `at_ms` is when it happened, by our clock, whatever the box's own says (see ingest.domain.Arrival): time is asked
    for by it. Times of other names are the box's word. `told_day` is in the key because PostgreSQL wants the column it
    partitions by there. It follows from the record alone (ingest.domain.told_day), so that the same record has the same
    key whenever it comes.
    """

    node_id: Mapped[str] = mapped_column(_NAME, primary_key=True)
    epoch: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    told_day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=0, server_default="0")
    stored_ms: Mapped[int]
    at_ms: Mapped[int]
    digest: Mapped[int | None]  # of what the box sent, see ingest.wire; None: stored before this was


class Epoch(Base):
    """One line of numbers of a box: the records of one class that one start of its agent accepted.

    What is stored of it is counted here with it, and outlives the rows; what its box told (Tally) stands beside it.
    """

    __tablename__ = "epochs"
    __table_args__ = (Index(None, "last_ms"),)

    node_id: Mapped[str] = mapped_column(_NAME, primary_key=True)
    epoch: Mapped[str] = mapped_column(String(64), primary_key=True)
    record_class: Mapped[str] = mapped_column(String(16))  # "": of an agent that does not tell it
    start: Mapped[str] = mapped_column(String(64))  # that told of it first: mostly the one that accepted it
    first_ms: Mapped[int]  # when something of it came first, and last, by our clock
    last_ms: Mapped[int]
    up_to: Mapped[int]  # every number from 1 to it is stored or declared dropped
    beyond: Mapped[list[Any]]  # [[first, last]]: closed ranges of numbers behind it that are, too, ascending
    stored: Mapped[int]  # records, each once
    dropped: Mapped[int]  # records that stored Gaps declare of this epoch
    told_accepted: Mapped[int]  # by the box, as of told_ms; 0 where it told nothing
    told_waiting: Mapped[int]
    told_dropped: Mapped[int]
    told_oldest_ms: Mapped[int]  # when the oldest that waited was accepted, by our clock; 0: none waited
    told_ms: Mapped[int]


class AgentStart(Base):
    """A start of an agent. Two that follow the same one are two boxes of one identity, or a disk that was put back."""

    __tablename__ = "agent_starts"
    __table_args__ = (Index(None, "node_id", "before"),)

    node_id: Mapped[str] = mapped_column(_NAME, primary_key=True)
    start: Mapped[str] = mapped_column(String(64), primary_key=True)
    before: Mapped[str] = mapped_column(String(64))  # "": the outbox was new
    first_ms: Mapped[int]
    last_ms: Mapped[int]


class RecordConflict(Base):
    """A record that came under the name of another: kept aside, never mixed in, never ignored."""

    __tablename__ = "record_conflicts"
    __table_args__ = (Index(None, "last_ms"),)

    node_id: Mapped[str] = mapped_column(_NAME, primary_key=True)
    epoch: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    content: Mapped[bytes] = mapped_column(LargeBinary)  # the Record as it came, without its number
    first_ms: Mapped[int]
    last_ms: Mapped[int]
    times: Mapped[int]


class Detection(RecordColumns, Base):
    """One frame's result."""

    __tablename__ = "detections"
    __table_args__ = (
        Index(None, "camera", "at_ms"),
        Index(None, "node_id", "at_ms"),
        Index(None, "deployment", "at_ms"),
        Index(None, "at_ms", "labels", "zones", "top_score"),  # a rare label is found without looking into each row
        Index(None, "stored_ms"),
        _BY_DAY,
    )

    camera: Mapped[str] = mapped_column(_NAME)
    deployment: Mapped[str] = mapped_column(_NAME)
    release_digest: Mapped[str] = mapped_column(_DIGEST)
    captured_unix_ns: Mapped[int]
    ts_source: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    latency_seconds: Mapped[float]
    ran_on: Mapped[str] = mapped_column(_NAME)  # "local" or the cloud node's id
    boxes: Mapped[list[Any]]  # [{"x0","y0","x1","y1","score","label","zones","track"}]; the last two where it has any
    happened: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # as HappeningAnswer tells it
    frame_seq: Mapped[int]
    labels: Mapped[str | None] = mapped_column(Text)  # of its boxes, one a line; None: too many, or of before this was
    zones: Mapped[str | None] = mapped_column(Text)  # the same
    top_score: Mapped[float | None]


class OutcomeCount(RecordColumns, Base):
    """How the frames due between start and end finished; sums add up over rows. `at_ms` is the end."""

    __tablename__ = "outcome_counts"
    __table_args__ = (Index(None, "deployment", "at_ms"), Index(None, "at_ms"), Index(None, "stored_ms"), _BY_DAY)

    camera: Mapped[str] = mapped_column(_NAME)
    deployment: Mapped[str] = mapped_column(_NAME)
    start_ms: Mapped[int]
    end_ms: Mapped[int]
    frames_due: Mapped[int]
    counts: Mapped[Json]  # outcome -> frames
    box: Mapped[Json]  # {"frames": [by latency bucket], "seconds": their sum}; of frames the box answered
    cloud: Mapped[Json]  # the same, of frames a cloud node answered
    uplink_bytes: Mapped[int]
    stages: Mapped[Json] = mapped_column(default=dict, server_default=text("'{}'"))  # protos.outcomes.Stage -> seconds
    decided: Mapped[Json] = mapped_column(default=dict, server_default=text("'{}'"))  # protos.decided.Decided -> sum
    rung_why: Mapped[str] = mapped_column(Text, default="", server_default="")  # of the rung that `decided` tells


class CameraHealth(RecordColumns, Base):
    __tablename__ = "camera_health"
    __table_args__ = (Index(None, "camera", "at_ms"), Index(None, "at_ms"), Index(None, "stored_ms"), _BY_DAY)

    camera: Mapped[str] = mapped_column(_NAME)
    state: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)


class NodeStat(RecordColumns, Base):
    __tablename__ = "node_stats"
    __table_args__ = (Index(None, "node_id", "at_ms"), Index(None, "at_ms"), Index(None, "stored_ms"), _BY_DAY)

    cpu_cores_used: Mapped[float]
    memory_bytes: Mapped[int]
    disk_free_bytes: Mapped[int]
    outbox_waiting: Mapped[int]
    outbox_dropped: Mapped[int]


class Gap(RecordColumns, Base):
    """Records a box had to drop, declared by itself; or one that was refused here (ingest.domain.refusal)."""

    __tablename__ = "gaps"
    __table_args__ = (Index(None, "at_ms"),)

    record_class: Mapped[str] = mapped_column(String(16))
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    dropped: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    gap_epoch: Mapped[str] = mapped_column(String(64), default="", server_default="")  # whose numbers; "": its own
    lower_bound: Mapped[bool] = mapped_column(default=False, server_default=false())  # at least so many


class Swept(Base):
    """What retention took of one table of records: nothing that was stored at this moment or later. Only grows."""

    __tablename__ = "swept"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    before_ms: Mapped[int]


# ---- audit ----


class AuditEntry(Base):
    """One change that somebody made, and that was taken."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at_ms"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at_ms: Mapped[int]
    who: Mapped[str] = mapped_column(_NAME)
    via: Mapped[str] = mapped_column(_NAME)  # the API token's name, or "browser"
    role: Mapped[str] = mapped_column(String(16))
    verb: Mapped[str] = mapped_column(String(16))
    object: Mapped[str] = mapped_column(String(200))  # kind/name, or the address of what is no object
