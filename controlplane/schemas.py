"""What HTTP bodies of all folders have in common: camelCase names, unknown fields refused, Kubernetes' object shape."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    """A request body: a field nobody knows is a typo, so it is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class Metadata(Answer):
    name: str = Field(description="a-z, 0-9 and '-', at most 63 characters")
    labels: dict[str, str] = Field(default_factory=dict, description="what selectors look at")
    annotations: dict[str, str] = Field(default_factory=dict, description="your own notes, 4096 characters together")
    uid: str = Field(description="of this very object: one made anew under its name has another")
    generation: int = Field(description="counts changes of the spec")
    resource_version: str = Field(description="counts every change; written back, it guards against somebody else's")
    creation_timestamp: str


class Failure(Answer):
    """What went wrong, in one sentence with the next step."""

    code: str
    message: str


class Refusal(Answer):
    error: Failure


REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal, "description": text}
    for code, text in {
        401: "Nobody known asked",
        404: "No such object",
        409: "It clashes with what is stored",
        413: "It is too large",
        422: "The request breaks a rule",
        503: "Try again later",
    }.items()
}
