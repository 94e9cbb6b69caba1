"""HTTP of training: recipes, the trainer, Runs and what they write. Convert, call, convert.

A log is read in pieces: `Longshore-Next` of one answer is the `offset` of the next; with `Longshore-End: true` nothing
more will come. `wait` holds a request until there is something new.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse, Response

from controlplane.fleet import selectors
from controlplane.identity.access import Current, require_user
from controlplane.listing import Continue, Limit, Selector, one_more, page
from controlplane.schemas import REFUSALS
from controlplane.training import schemas
from controlplane.training.domain import Run
from protos.errors import Rejected

router = APIRouter(prefix="/api/v1", tags=["training"], dependencies=[Depends(require_user)], responses=REFUSALS)

MOST_LOG = 1 << 20  # bytes of one answer
MOST_WAIT = 10.0  # seconds a request may hold its thread
LINE = 200  # bytes that a line of a log has, generously
_LOOK_SECONDS = 0.25
Offset = Annotated[int, Query(ge=0, description="bytes from the beginning")]
Tail = Annotated[int | None, Query(ge=1, le=5000, description="newest lines instead, at most")]
Wait = Annotated[float, Query(ge=0, le=MOST_WAIT, description="seconds to wait for more")]
Most = Annotated[int, Query(ge=2, le=5000, description="points of a series, at most")]


@router.get("/trainer", summary="Whether training can run here, and what comes first")
def get_trainer(services: Current) -> schemas.TrainerAnswer:
    return schemas.trainer(services.training.trainer(), services.training.waiting())


@router.get("/recipes")
def list_recipes(
    services: Current, selector: Selector = "", limit: Limit = None, after: Continue = ""
) -> schemas.RecipeList:
    wanted = selectors.parse(selector).matches({})  # they have no labels
    found = [each for each in services.training.recipes() if wanted and each.name > after][: one_more(limit)]
    shown, metadata = page(found, limit, lambda each: each.name)
    return schemas.RecipeList(metadata=metadata, items=[schemas.recipe(each) for each in shown])


@router.get("/recipes/{name}")
def get_recipe(name: str, services: Current) -> schemas.RecipeAnswer:
    return schemas.recipe(services.training.recipe(name))


@router.delete("/recipes/{name}", include_in_schema=False)
def delete_recipe(name: str, services: Current) -> None:
    folder = services.training.recipe(name).folder
    raise Rejected(f"a recipe is a folder on the control plane's machine; remove {folder} there")


@router.get("/runs", summary="Oldest first")
def list_runs(services: Current, selector: Selector = "", limit: Limit = None, after: Continue = "") -> schemas.RunList:
    found = services.training.runs(selectors.parse(selector), one_more(limit), after)
    shown, metadata = page(found, limit, lambda run: run.place)
    waiting = services.training.waiting()
    return schemas.RunList(metadata=metadata, items=[schemas.run(each, waiting) for each in shown])


@router.post("/runs", status_code=201, summary="Train: take a Run into the queue")
def create_run(body: schemas.NewRun, services: Current, response: Response) -> schemas.RunAnswer:
    selectors.labels(body.metadata.labels)
    run = services.training.start(body.wish())
    response.headers["Location"] = f"/api/v1/runs/{run.name}"
    return _answer(services, run)


@router.get("/runs/{name}")
def get_run(name: str, services: Current) -> schemas.RunAnswer:
    return _answer(services, services.training.run(name))


@router.post("/runs/{name}/cancel", summary="End it; nothing is published")
def cancel_run(name: str, services: Current) -> schemas.RunAnswer:
    return _answer(services, services.training.cancel(name))


@router.delete("/runs/{name}", status_code=204, summary="Forget a finished Run, its log and checkpoints")
def delete_run(name: str, services: Current) -> None:
    services.training.delete(name)


@router.get("/runs/{name}/points", summary="Loss and metrics over the steps of the training, for a plot")
def get_points(name: str, services: Current, most: Most = 500) -> schemas.PointsAnswer:
    return schemas.points(services.training.points(name, most))


@router.get("/runs/{name}/log", summary="Its log from a byte on, or its end", response_class=PlainTextResponse)
def get_log(name: str, services: Current, offset: Offset = 0, tail: Tail = None, wait: Wait = 0) -> Response:
    until = time.monotonic() + wait
    start = offset if tail is None else -tail * LINE
    piece = services.training.log(name, start, MOST_LOG)
    while not piece.content and not piece.over and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        piece = services.training.log(name, start, MOST_LOG)
    content = piece.content if tail is None else b"".join(piece.content.splitlines(keepends=True)[-tail:])
    headers = {
        "Longshore-Next": str(piece.end),
        "Longshore-End": str(piece.over).lower(),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return PlainTextResponse(content, headers=headers)


def _answer(services: Current, run: Run) -> schemas.RunAnswer:
    return schemas.run(run, services.training.waiting())
