"""Signed documents that come in one body, longer than others may be: read once it is known who sends them."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from controlplane.errors import TooLarge
from protos import ids, trust
from protos.errors import Rejected

MOST_BYTES = 32 << 20  # of one upload: other release keys sign all that is listed at once, some 90 000 releases
Read = TypeVar("Read", bound=BaseModel)


def described(body: type[BaseModel]) -> dict[str, Any]:
    """What the API's description says of it, since FastAPI reads it not."""
    content = {"application/json": {"schema": body.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def received(request: Request) -> bytes:
    """Raises TooLarge."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_BYTES:
            raise TooLarge(
                f"more than {MOST_BYTES} bytes of documents at once; withdraw releases that nobody needs, then sign"
            )
    return bytes(content)


def read(body: type[Read], content: bytes) -> Read:
    """Raises Rejected, RequestValidationError."""
    try:
        return body.model_validate_json(content)
    except ValidationError as error:
        found = error.errors()
        if found[0]["type"] == "json_invalid":
            raise Rejected("the body cannot be read; send an object as JSON, in UTF-8") from error
        raise RequestValidationError(found) from error


def release_path(release: str) -> str:
    """Raises InvalidName."""
    return trust.release_path(*ids.release(release))
