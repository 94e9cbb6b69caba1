"""Say whether protos/*.proto still speak with the releases whose wire is kept in tests/fixtures, without the network.

Agents and control plane may differ by one release. So nothing that was said may be said otherwise: no message, field,
service or method goes, changes its number, its name (JSON carries names) or its type. Adding is free.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

CHECKOUT = Path(__file__).resolve().parent.parent
FIXTURES = CHECKOUT / "tests" / "fixtures"


def breaks(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """What a part of the old release would no longer understand or be understood in, as sentences."""
    wrong: list[str] = []
    had, have = dict(_messages(old)), dict(_messages(new))
    for name, message in had.items():
        wrong += _message_breaks(name, message, have[name]) if name in have else [f"message {name} is gone"]
    served = dict(_services(new))
    for name, service in _services(old):
        wrong += _service_breaks(name, service, served.get(name, ServiceDescriptorProto()))
    return wrong


def _message_breaks(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    fields = {field.number: field for field in new.field}
    for field in old.field:
        now = fields.get(field.number)
        if now is None:
            yield f"field {name}.{field.name} = {field.number} is gone"
        elif _shape(field, old) != _shape(now, new):
            yield f"field {name}.{field.name} = {field.number} is another now ({now.name})"


def _shape(field: FieldDescriptorProto, message: DescriptorProto) -> tuple[object, ...]:
    choice = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    return field.name, field.type, field.label, field.type_name, choice


def _service_breaks(name: str, old: ServiceDescriptorProto, new: ServiceDescriptorProto) -> Iterator[str]:
    methods = {method.name: _call(method) for method in new.method}
    for method in old.method:
        if methods.get(method.name) != _call(method):
            yield f"method {name}/{method.name} is gone or takes something else"


def _call(method: MethodDescriptorProto) -> tuple[str, str, bool, bool]:
    return method.input_type, method.output_type, method.client_streaming, method.server_streaming


def _messages(files: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    for file in files.file:
        for message in file.message_type:
            yield from _nested(f"{file.package}.{message.name}", message)


def _nested(name: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    yield name, message
    for inner in message.nested_type:
        yield from _nested(f"{name}.{inner.name}", inner)


def _services(files: FileDescriptorSet) -> Iterator[tuple[str, ServiceDescriptorProto]]:
    for file in files.file:
        for service in file.service:
            yield f"{file.package}.{service.name}", service


def todays() -> FileDescriptorSet:
    """The wire as the generated code has it."""
    from protos import fleet_pb2, inference_pb2, telemetry_pb2

    files = FileDescriptorSet()
    for module in (fleet_pb2, telemetry_pb2, inference_pb2):
        files.file.append(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    return files


def main() -> int:
    """Print what is broken, by release; 1 when anything is."""
    kept = sorted(FIXTURES.glob("*/wire.binpb"))
    wrong = [
        f"{path.parent.name}: {sentence}"
        for path in kept
        for sentence in breaks(FileDescriptorSet.FromString(path.read_bytes()), todays())
    ]
    names = ", ".join(path.parent.name for path in kept)
    print("\n".join(wrong) or f"wire: speaks with {names}")
    return bool(wrong)


if __name__ == "__main__":
    sys.path.insert(0, str(CHECKOUT))
    sys.exit(main())
