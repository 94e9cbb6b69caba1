"""Files that are signed as a whole: what a box is told, and what it tells. See protos.carried."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from agent.identity.store import Identity, Keys
from protos import carried, fleet_pb2
from protos.errors import Rejected

_NO_NEWS = {"control-plane-away", "broker-away"}  # problems that a box without a network has by nature


def state(file: bytes, identity: Identity, keys: Keys) -> fleet_pb2.CarriedState:
    """What this box is told.

    Raises:
        Rejected: damaged, not signed by this fleet's CA, or for another box.
    """
    try:
        sealed = fleet_pb2.Carried.FromString(file)
    except DecodeError as error:
        raise Rejected(f"what this box is told is damaged ({error}); run 'longshore export' again") from error
    if not keys.vouched(identity.ca, carried.spoken(carried.STATE, sealed.content), sealed.signature):
        raise Rejected(
            "what this box is told was changed on the way, or is of another fleet: this fleet's CA did not sign it; "
            "nothing of it is believed: look who had the stick, and run 'longshore export' again"
        )
    try:
        found = fleet_pb2.CarriedState.FromString(sealed.content)
    except DecodeError as error:
        raise Rejected("what this box is told is not readable; a newer control plane needs a newer agent") from error
    if found.node_id != identity.member.node_id:
        raise Rejected(f"this is for {found.node_id!r} and this box is {identity.member.node_id!r}; export it for both")
    return found


def report(request: fleet_pb2.SyncRequest, identity: Identity, keys: Keys) -> bytes:
    """A file that proves by this box's key that it wrote it. Raises Rejected: the key is unusable."""
    told = fleet_pb2.SyncRequest()
    told.CopyFrom(request)
    del told.problems[:]
    told.problems.extend(each for each in request.problems if each.code not in _NO_NEWS)
    content = fleet_pb2.CarriedReport(report=told).SerializeToString()
    signature = keys.sign(identity.key, carried.spoken(carried.REPORT, content))
    sealed = fleet_pb2.Carried(content=content, signature=signature, certificate=identity.certificate)
    return sealed.SerializeToString()


def told(file: bytes) -> fleet_pb2.SyncRequest:
    """Of a report of this very box. Raises Rejected."""
    try:
        return fleet_pb2.CarriedReport.FromString(fleet_pb2.Carried.FromString(file).content).report
    except DecodeError as error:
        raise Rejected("the agent's report is not readable; is the running agent of this version?") from error
