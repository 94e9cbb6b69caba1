"""What the control plane signs by itself, again and again: assignments, the snapshot, the timestamp.

`life`: seconds that it is good for new installs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from securesystemslib.signer import Signer
from tuf.api.metadata import Snapshot, Targets, Timestamp

from controlplane.signing import metadata
from controlplane.signing.documents import next_version
from protos import trust
from protos.trust import Assignment


def assign(wanted: Iterable[Assignment], last: int, signers: Sequence[Signer], now: int, life: int) -> bytes:
    document = Targets(
        version=next_version(trust.ASSIGN, last, now),
        expires=metadata.moment(now + life),
        targets={each.path: metadata.target(each) for each in wanted},
    )
    return metadata.signed(document, signers)


def snapshot(
    named: Mapping[str, tuple[int, bytes]], last: int, signers: Sequence[Signer], now: int, life: int
) -> bytes:
    """`named`: version and content of targets and of every role below it."""
    document = Snapshot(
        version=next_version(trust.SNAPSHOT, last, now),
        expires=metadata.moment(now + life),
        meta={f"{role}.json": metadata.meta(content, version) for role, (version, content) in named.items()},
    )
    return metadata.signed(document, signers)


def timestamp(named: tuple[int, bytes], last: int, signers: Sequence[Signer], now: int, life: int) -> bytes:
    """`named`: the snapshot."""
    version, content = named
    document = Timestamp(
        version=next_version(trust.TIMESTAMP, last, now),
        expires=metadata.moment(now + life),
        snapshot_meta=metadata.meta(content, version),
        unrecognized_fields={trust.SIGNED_AT: now},
    )
    return metadata.signed(document, signers)
