"""Names of things, checked once where they enter.

A name that passed its constructor is safe in a topic, a path, a certificate and a URL: it holds neither `/`, `+`, `#`
nor `..`. A version may hold `.`, `+` and `_` as well and is never part of a topic or a path. A digest is always written
`sha256:<64 hex>`; only file names use the bare hex.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from protos.errors import InvalidName

NodeId = NewType("NodeId", str)
CameraName = NewType("CameraName", str)
DeploymentName = NewType("DeploymentName", str)
ModelName = NewType("ModelName", str)
Version = NewType("Version", str)
Digest = NewType("Digest", str)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNSAFE = re.compile(r"[^a-z0-9-]")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,62}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line ends, halves of a pair


def name(text: str, what: str = "name") -> str:
    """Return `text` if it may name an object.

    Raises:
        InvalidName: with the rule, in one sentence.
    """
    if not _NAME.fullmatch(text):
        raise InvalidName(f"{what} {text!r} must be 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit")
    return text


def node_id(text: str) -> NodeId:
    return NodeId(name(text, "node id"))


def node_host(node: str) -> str:
    """The name a node's certificate answers to as a TLS server; under it no node id can pass for another host."""
    return f"{node}.node.longshore.internal"


def camera_name(text: str) -> CameraName:
    return CameraName(name(text, "camera name"))


def deployment_name(text: str) -> DeploymentName:
    return DeploymentName(name(text, "deployment name"))


def model_name(text: str) -> ModelName:
    return ModelName(name(text, "model name"))


def version(text: str) -> Version:
    """Raises InvalidName; a version is free text without `/` or spaces, such as `1.4.0` or `2026-11-23`."""
    if not _VERSION.fullmatch(text):
        raise InvalidName(f"version {text!r} must be 1 to 63 letters, digits, '.', '+', '_' or '-'")
    return Version(text)


def release(text: str, what: str = "release") -> tuple[ModelName, Version]:
    """`harbour@1.0.0` → `harbour`, `1.0.0`: a release as people write it.

    Raises:
        InvalidName: with how to write it.
    """
    model, _, number = text.partition("@")
    if not (model and number):
        raise InvalidName(f"{what} {text!r} must read NAME@VERSION, such as harbour@1.1.0")
    return model_name(model), version(number)


def release_name(model: ModelName, version: Version) -> str:
    """`harbour`, `1.0.0` → `harbour-1-0-0`: safe in a URL."""
    return f"{model}-{_UNSAFE.sub('-', version.lower())}"


def is_one_line(text: str) -> bool:
    """Whether free text can be stored, sent as UTF-8 and shown in one line."""
    return not _ODD.search(text)


def digest(text: str) -> Digest:
    """Raises InvalidName."""
    if not _DIGEST.fullmatch(text):
        raise InvalidName(f"digest {text!r} must be 'sha256:' and 64 lower-case hex digits")
    return Digest(text)


def digest_of(content: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def hex_of(value: Digest) -> str:
    """The bare hex of a digest, as file names and URLs use it."""
    return value.removeprefix("sha256:")
