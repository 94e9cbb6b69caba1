"""HTTP bodies of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controlplane.fleet import envelope
from controlplane.fleet.schemas import Condition
from controlplane.listing import ListMetadata
from controlplane.schemas import Answer, Body, Metadata
from controlplane.shape import API_VERSION, moment_or_never
from controlplane.training.domain import Run
from controlplane.training.ports import Trainer
from controlplane.training.progress import Points
from controlplane.training.recipe import Recipe
from controlplane.training.service import Wish

Value = bool | int | float | str

# ---- recipes and trainer ----


class RecipeMetadata(Answer):
    name: str


class SettingAnswer(Answer):
    name: str
    type: Literal["int", "float", "bool", "str"]
    default: Value
    help: str = Field(description="what it does")


class RecipeSpec(Answer):
    summary: str
    task: str = Field(description="of the releases it makes: detection, classification or tensor")
    folder: str = Field(description="where it lies on the control plane's machine")
    digest: str = Field(description="of its recipe.toml")
    settings: list[SettingAnswer] = Field(description="what a Run may set")


class RecipeStatus(Answer):
    problem: str = Field(description="why no Run can be made of it; empty for a sound one")


class RecipeAnswer(Answer):
    api_version: str = API_VERSION
    kind: Literal["Recipe"] = "Recipe"
    metadata: RecipeMetadata
    spec: RecipeSpec
    status: RecipeStatus


class RecipeList(Answer):
    api_version: str = API_VERSION
    kind: Literal["RecipeList"] = "RecipeList"
    metadata: ListMetadata
    items: list[RecipeAnswer]


class TrainerAnswer(Answer):
    executor: str = Field(description="what runs the Runs")
    can_train: bool = Field(description="whether a Run can be made now")
    ready: bool = Field(description="nothing has to be fetched first")
    message: str = Field(description="how it stands, in one sentence")
    remedy: str = Field(description="what to do where it cannot train")
    least_fetch_bytes: int = Field(description="of the training environment, where it is not there yet")
    most_fetch_bytes: int
    disk_bytes: int = Field(description="what the environment takes on disk, at most")
    free_bytes: int
    waiting: list[str] = Field(description="Runs whose turn has not come, the next one first")


# ---- runs ----


class NewMetadata(Body):
    name: str = Field(default="", description="empty: the recipe's name and a number")
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class NewSpec(Body):
    recipe: str
    settings: dict[str, Value] = Field(default_factory=dict, description="what differs from the recipe's defaults")
    model: str = Field(default="", description="empty: the recipe's name")
    version: str = Field(default="", description="empty: the patch after the newest")


class NewRun(Body):
    api_version: Literal["longshore/v1"] = "longshore/v1"
    kind: Literal["Run"] = "Run"
    metadata: NewMetadata = NewMetadata()
    spec: NewSpec

    def wish(self) -> Wish:
        about, spec = self.metadata, self.spec
        return Wish(spec.recipe, spec.settings, about.name, spec.model, spec.version, about.labels, about.annotations)


class RunSpec(Answer):
    recipe: str
    model: str = Field(description="of the release it makes")
    version: str = Field(description="of the release it makes")
    settings: dict[str, Value] = Field(description="all of the recipe's")


class ProgressAnswer(Answer):
    phase: str = Field(description="what the recipe does: draw, train, evaluate, export")
    step: int = Field(description="of the phase")
    steps: int = Field(description="of the phase; 0: not told")
    epoch: int | None
    epochs: int | None
    loss: float | None
    metrics: dict[str, float]
    ratio: float = Field(description="of the training, 0 to 1")
    seconds_left: float | None = Field(description="of the phase, by the last two minutes")


class RunStatus(Answer):
    phase: str = Field(description="Pending, Preparing, Running, Publishing, Cancelling, Succeeded, Failed, Cancelled")
    message: str = Field(description="why it is in this phase")
    position: int = Field(description="in the queue, from 1; 0: it does not wait")
    attempt: int = Field(description="starts of its process so far")
    started: str | None
    ended: str | None
    release: str = Field(description="name of the release it made")
    kept: bool = Field(description="its checkpoints are still on disk")
    progress: ProgressAnswer
    conditions: list[Condition]


class RunAnswer(Answer):
    api_version: str = API_VERSION
    kind: Literal["Run"] = "Run"
    metadata: Metadata
    spec: RunSpec
    status: RunStatus


class RunList(Answer):
    api_version: str = API_VERSION
    kind: Literal["RunList"] = "RunList"
    metadata: ListMetadata
    items: list[RunAnswer]


class PointsAnswer(Answer):
    steps: int = Field(description="of the training; 0: not told")
    loss: list[tuple[int, float]] = Field(description="step and value, thinned out")
    metrics: dict[str, list[tuple[int, float]]] = Field(description="the same, by metric")


def recipe(found: Recipe) -> RecipeAnswer:
    settings = [
        SettingAnswer.model_validate({"name": each.name, "type": each.type, "default": each.default, "help": each.help})
        for each in found.settings
    ]
    spec = RecipeSpec(
        summary=found.summary, task=found.task, folder=found.folder, digest=found.digest, settings=settings
    )
    return RecipeAnswer(metadata=RecipeMetadata(name=found.name), spec=spec, status=RecipeStatus(problem=found.problem))


def trainer(found: Trainer, waiting: list[str]) -> TrainerAnswer:
    return TrainerAnswer(**vars(found), waiting=waiting)


def run(found: Run, waiting: list[str]) -> RunAnswer:
    metadata = Metadata.model_validate(envelope.metadata(found.name, found.meta))
    spec = RunSpec(recipe=found.recipe, model=found.model, version=found.version, settings=dict(found.settings))
    return RunAnswer(metadata=metadata, spec=spec, status=_status(found, waiting))


def _status(found: Run, waiting: list[str]) -> RunStatus:
    return RunStatus(
        phase=found.phase.value,
        message=found.why.message,
        position=waiting.index(found.name) + 1 if found.name in waiting else 0,
        attempt=found.attempt,
        started=moment_or_never(found.started_ms),
        ended=moment_or_never(found.ended_ms),
        release=found.release,
        kept=found.kept,
        progress=ProgressAnswer.model_validate(vars(found.progress)),
        conditions=[Condition.model_validate(each) for each in envelope.conditions(found.conditions)],
    )


def points(found: Points) -> PointsAnswer:
    return PointsAnswer(
        steps=found.steps,
        loss=list(found.loss),
        metrics={name: list(series) for name, series in found.metrics.items()},
    )
