"""Parts of the last release and of this one understand each other: nothing that was said may be said otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

from scripts.check_wire import CHECKOUT, breaks, todays
from tests.sim import past

TEXT = FieldDescriptorProto.TYPE_STRING
SPOKEN = ("SyncRequest", "SyncResponse", "WatchFrame", "TelemetryBatch", "TelemetryAck", "Presence", "DesiredHint")
ENROLLED = ("EnrollRequest", "EnrollResponse", "RenewRequest", "LateRenewRequest", "Certificate")
NAMES = (
    *(f"longshore.v1.{name}" for name in (*SPOKEN, *ENROLLED)),
    *(f"inference.{name}" for name in ("ModelInferRequest", "ModelInferResponse", "ModelMetadataResponse")),
)


def test_the_wire_of_this_release_breaks_no_earlier_one() -> None:
    done = subprocess.run([sys.executable, "scripts/check_wire.py"], cwd=CHECKOUT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()


def _field(files: FileDescriptorSet) -> FieldDescriptorProto:
    """SyncRequest.boot_id."""
    field: FieldDescriptorProto = message_of(files, "SyncRequest").field[1]
    return field


def message_of(files: FileDescriptorSet, name: str) -> Any:
    return next(each for file in files.file for each in file.message_type if each.name == name)


def _drop(files: FileDescriptorSet) -> None:
    del message_of(files, "SyncRequest").field[1]


def _move(files: FileDescriptorSet) -> None:
    _field(files).number = 99


def _rename(files: FileDescriptorSet) -> None:
    _field(files).name = "start_id"


def _retype(files: FileDescriptorSet) -> None:
    _field(files).type = FieldDescriptorProto.TYPE_BYTES


def _repeat(files: FileDescriptorSet) -> None:
    _field(files).label = FieldDescriptorProto.LABEL_REPEATED


def _forget_message(files: FileDescriptorSet) -> None:
    message_of(files, "Gap").name = "Hole"


def _forget_method(files: FileDescriptorSet) -> None:
    files.file[0].service[0].method[0].name = "Report"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_drop, "field longshore.v1.SyncRequest.boot_id = 2 is gone"),
        (_move, "boot_id = 2 is gone"),
        (_rename, "is another now (start_id)"),
        (_retype, "boot_id = 2 is another now"),
        (_repeat, "boot_id = 2 is another now"),
        (_forget_message, "message longshore.v1.Gap is gone"),
        (_forget_method, "method longshore.v1.Fleet/Sync is gone"),
    ],
)
def test_what_breaks_the_wire_is_told(change: Callable[[FileDescriptorSet], None], sentence: str) -> None:
    changed = past.wire()
    change(changed)
    assert sentence in "\n".join(breaks(past.wire(), changed))


def test_what_is_added_breaks_nothing() -> None:
    more = past.wire()
    message_of(more, "SyncRequest").field.add(name="berth", number=77, type=TEXT, label=1)
    more.file[0].message_type.add(name="Tide")
    assert breaks(past.wire(), more) == []


@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_last_release_says_is_understood_and_answered_in_its_words(name: str) -> None:
    old, new = classes(past.wire(), name), classes(todays(), name)
    said = filled(old())
    heard = new.FromString(said.SerializeToString())
    assert json_format.MessageToDict(heard) == json_format.MessageToDict(said)
    everything = filled(new())
    understood = old.FromString(everything.SerializeToString())
    assert within(json_format.MessageToDict(understood), json_format.MessageToDict(everything))
    assert new.FromString(understood.SerializeToString()) == everything  # what is newer passes through unharmed


def classes(files: FileDescriptorSet, name: str) -> Any:
    """The class of the message `name`, of a pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(FileDescriptorProto.FromString(file.SerializeToString()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def filled(message: Message, depth: int = 0) -> Message:
    """`message` with a value in every field; of a oneof the last one stays."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(message, field, depth)
        elif field.message_type is not None:
            into = getattr(message, field.name)
            filled(into.add() if field.is_repeated else into, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend([value_of(field)] * 2)
        else:
            setattr(message, field.name, value_of(field))
    return message


def _fill_map(message: Message, field: Any, depth: int) -> None:
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    entries = getattr(message, field.name)
    if value.message_type is not None:
        filled(entries[value_of(key)], depth + 1)
    else:
        entries[value_of(key)] = value_of(value)


def value_of(field: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"a {field.name}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\x00\xff"
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    return field.number + 0.5 if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT) else 7


def within(less: Any, more: Any) -> bool:
    """Everything of `less` is in `more`, value for value."""
    if isinstance(less, dict):
        return all(name in more and within(value, more[name]) for name, value in less.items())
    if isinstance(less, list):
        return len(less) == len(more) and all(map(within, less, more))
    return bool(less == more)
