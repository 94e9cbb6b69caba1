"""The extensions of the Open Inference Protocol over REST: statistics, model repository, system shared memory.

    GET  /v2/models[/{m}[/versions/{v}]]/stats
    POST /v2/repository/index              POST /v2/repository/models/{m}/load|unload
    GET  /v2/systemsharedmemory[/region/{r}]/status
    POST /v2/systemsharedmemory/region/{r}/register     POST /v2/systemsharedmemory[/region/{r}]/unregister

Who gets here has shown what inference asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from agent.serving.callers import Caller
from agent.serving.dataplane import DataPlane
from agent.serving.errors import BadRequest
from agent.serving.http1_messages import Request, Response
from agent.serving.shared_memory import RegionStatus
from agent.serving.statistics import ModelStatistics

MAX_BODY = 64 << 10  # bytes: these are small, and parsed on the event loop
Answer = Callable[[], object]  # what it returns is the body, None an empty one


class IndexJson(msgspec.Struct):
    ready: bool = False


class LoadJson(msgspec.Struct):
    parameters: dict[str, Any] = {}


class RegisterJson(msgspec.Struct):
    key: str
    byte_size: int
    offset: int = 0


class StatisticsJson(msgspec.Struct):
    model_stats: list[ModelStatistics]


J = TypeVar("J", bound=msgspec.Struct)


def find(plane: DataPlane, request: Request, path: Sequence[str]) -> tuple[str, Answer] | None:
    """The method that this path wants and what answers it, or None: it is no extension's."""
    match path:
        case ["v2", "models", *models, "stats"] if len(models) in (0, 1):
            return "GET", lambda: _statistics(plane, models[0] if models else "", None)
        case ["v2", "models", name, "versions", version, "stats"]:
            return "GET", lambda: _statistics(plane, name, version)
        case ["v2", "repository", "index"]:
            return "POST", lambda: plane.index(ready=_read(request, IndexJson).ready)
        case ["v2", "repository", "models", name, "load"]:
            return "POST", lambda: plane.load(name, _read(request, LoadJson).parameters)
        case ["v2", "repository", "models", name, "unload"]:
            return "POST", lambda: plane.unload(name)
        case ["v2", "systemsharedmemory", *rest]:
            return _shared_memory(plane, request, rest)
    return None


def answered(answer: Answer) -> Response:
    """Raises what the answer raises."""
    body = answer()
    return Response(200, [] if body is None else [msgspec.json.encode(body)])


def _statistics(plane: DataPlane, name: str, version: str | None) -> StatisticsJson:
    return StatisticsJson(plane.statistics(name, version))


def _shared_memory(plane: DataPlane, request: Request, path: Sequence[str]) -> tuple[str, Answer] | None:
    regions, caller = plane.regions, Caller(*request.ends)
    match path:
        case ["status"]:
            return "GET", lambda: regions.status("", caller)
        case ["unregister"]:
            return "POST", lambda: regions.unregister("", caller)
        case ["region", name, "status"]:
            return "GET", lambda: regions.status(name, caller)
        case ["region", name, "register"]:
            return "POST", lambda: regions.register(_region(name, _read(request, RegisterJson)), caller)
        case ["region", name, "unregister"]:
            return "POST", lambda: regions.unregister(name, caller)
    return None


def _region(name: str, body: RegisterJson) -> RegionStatus:
    return RegionStatus(name, body.key, body.offset, body.byte_size)


def _read(request: Request, kind: type[J]) -> J:
    """The body; an empty one says nothing. Raises BadRequest."""
    if len(request.body) > MAX_BODY:
        raise BadRequest(f"a body of {len(request.body)} bytes is too long here; at most {MAX_BODY} are taken")
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not what is asked for here: {str(error).splitlines()[0][:200]}") from error
