"""What a kind's fields mean, from the control plane's own OpenAPI document. Pure: schema in, text out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.cli.kinds import Kind
from protos.errors import Rejected

Schema = Mapping[str, Any]
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


@dataclass(frozen=True)
class Field:
    """One field of an object, as somebody may write or read it."""

    name: str
    type: str
    needed: bool
    told: str  # what it means, with its default and bounds


def found(openapi: Schema, kind: Kind, path: str) -> Schema:
    """The schema of what is answered for one object of `kind`, or of the field that the dotted `path` leads to.

    Raises:
        Rejected: there is no such field, with the nearest one.
    """
    schema, where = _answered(openapi, kind), kind.name
    for name in filter(None, path.split(".")):
        fields = _properties(openapi, schema)
        if name not in fields:
            raise Rejected(_unknown(where, name, list(fields)))
        where, schema = f"{where}.{name}", _resolved(openapi, fields[name])
    return schema


def _answered(openapi: Schema, kind: Kind) -> Schema:
    for path, verbs in openapi.get("paths", {}).items():
        if re.fullmatch(rf"/api/v1/{kind.plural}/{{\w+}}", path) and "get" in verbs:
            content = verbs["get"]["responses"]["200"]["content"]
            return _resolved(openapi, content["application/json"]["schema"])
    raise Rejected(f"this control plane knows no {kind.plural}; is it as new as this command? See 'longshore version'")


def _unknown(where: str, name: str, fields: list[str]) -> str:
    if not fields:
        return f"{where} holds no fields"
    close = difflib.get_close_matches(name, fields, n=1)
    return f"{where} has no field {name!r}; " + (
        f"did you mean {close[0]}?" if close else f"it has {', '.join(fields)}"
    )


def text(openapi: Schema, kind: Kind, path: str, *, deep: bool) -> str:
    """What `longshore explain` prints. Raises Rejected."""
    schema = found(openapi, kind, path)
    title = f"{kind.name}.{path}" if path else kind.name
    head = [f"{title}  <{_type(openapi, schema)}>", *_indented(_told(schema), 2)]
    lines = list(_lines(openapi, schema, 2, deep=deep))
    return "\n".join([*head, *(["", "Fields:", *lines] if lines else [])])


def _lines(openapi: Schema, schema: Schema, indent: int, *, deep: bool) -> Iterator[str]:
    for field, inner in fields_of(openapi, schema):
        needed = "  needed" if field.needed else ""
        yield f"{' ' * indent}{field.name}  <{field.type}>{needed}"
        if not deep:
            yield from _indented(field.told, indent + 2)
        else:
            yield from _lines(openapi, inner, indent + 2, deep=True)


def fields_of(openapi: Schema, schema: Schema) -> Iterator[tuple[Field, Schema]]:
    """The fields below a schema, each with its own schema; none for a plain value."""
    needed = set(_holder(openapi, schema).get("required", ()))
    for name, raw in _properties(openapi, schema).items():
        inner = _resolved(openapi, raw)
        yield Field(name, _type(openapi, inner), name in needed, _told(inner)), inner


def _holder(openapi: Schema, schema: Schema) -> Schema:
    """Whose fields are meant: of a list, those of its items."""
    return _resolved(openapi, schema["items"]) if schema.get("type") == "array" and "items" in schema else schema


def _properties(openapi: Schema, schema: Schema) -> Mapping[str, Schema]:
    fields: Mapping[str, Schema] = _holder(openapi, schema).get("properties", {})
    return fields


def _resolved(openapi: Schema, schema: Schema) -> Schema:
    """Without references and without "or null"; what stands beside a reference wins over what it names."""
    for choice in ("anyOf", "allOf"):
        real = [each for each in schema.get(choice, ()) if each.get("type") != "null"]
        if len(real) == 1:
            rest = {key: value for key, value in schema.items() if key != choice}
            return _resolved(openapi, {**real[0], **rest})
    reference = schema.get("$ref")
    if reference is None:
        return schema
    named = openapi.get("components", {}).get("schemas", {}).get(str(reference).rpartition("/")[2], {})
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return _resolved(openapi, {**named, **rest})


def _type(openapi: Schema, schema: Schema) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(openapi, _resolved(openapi, schema.get('items', {})))}"
    if "anyOf" in schema:
        return " | ".join(_type(openapi, _resolved(openapi, each)) for each in schema["anyOf"])
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        return f"map of {_type(openapi, _resolved(openapi, values))}"
    return str(schema.get("type", "any"))


def _told(schema: Schema) -> str:
    parts = [str(schema["description"]).strip()] if schema.get("description") else []
    parts += [told.format(_number(schema[key])) for key, told in _BOUNDS.items() if key in schema]
    default = schema.get("default")
    if default not in (None, {}, [], "") and schema.get("type") != "object":
        parts.append(f"default {str(default).lower() if isinstance(default, bool) else default}")
    return "; ".join(parts)


def _number(value: float) -> str:
    return f"{value:g}"


def _indented(told: str, indent: int) -> list[str]:
    return [" " * indent + line for line in told.splitlines()]
