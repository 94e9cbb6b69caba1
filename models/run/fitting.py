"""The loop that every recipe trains with: one-cycle AdamW, a judgement after each epoch, and a stop at any step.

Rules that hold here: a checkpoint is written at least once a minute, before each judgement and at a stop; a loss that
is no number ends the training with a sentence instead of a model of nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.run.checkpoint import Position, Trained, go_on, keep
from models.run.folder import RunFolder, Stopped
from protos.errors import Fatal

KEEP_EVERY = 45.0  # seconds between checkpoints
BLEND = 0.05  # of a step's loss in the one that is shown

Loss = Callable[[np.random.Generator], Tensor]  # one step's, with its gradient
Judge = Callable[[], Mapping[str, float]]  # metrics of the network as it is


@dataclass(frozen=True)
class Course:
    """How long and how fast."""

    epochs: int
    steps: int  # an epoch
    peak_rate: float
    weight_decay: float
    seed: int

    @property
    def total(self) -> int:
        return self.epochs * self.steps


def fit(network: nn.Module, course: Course, run: RunFolder, loss: Loss, judge: Judge) -> Position:
    """Train `network` to the end of the course, from the checkpoint in `run.work` when one lies there.

    Raises:
        Stopped: a stop was asked for; the checkpoint is written.
        Fatal: the loss became infinite.
    """
    return _Fit(network, course, run).run(loss, judge)


class _Fit:
    def __init__(self, network: nn.Module, course: Course, run: RunFolder) -> None:
        optimiser = torch.optim.AdamW(network.parameters(), course.peak_rate, weight_decay=course.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, course.peak_rate, course.total, pct_start=0.15)
        self._course, self._folder = course, run
        self._trained = Trained(network, optimiser, schedule, np.random.default_rng(course.seed))
        self._at = go_on(run.work, self._trained)
        self._shown: float | None = None
        self._counted = self._kept = time.monotonic()

    def run(self, loss: Loss, judge: Judge) -> Position:
        at, course = self._at, self._course
        while at.step < course.total or at.judged < at.step // course.steps:
            if at.judged < at.step // course.steps:
                self._judge(judge)
                continue
            self._trained.network.train()
            self._step(loss)
            self._note()
            if self._folder.stopping or time.monotonic() - self._kept > KEEP_EVERY or at.step % course.steps == 0:
                self._keep()
            if self._folder.stopping:
                raise Stopped
        self._trained.network.eval()
        return at

    def _step(self, loss: Loss) -> None:
        network, optimiser = self._trained.network, self._trained.optimiser
        value = loss(self._trained.rng)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        self._trained.schedule.step()
        self._at.step += 1
        self._blend(float(value.detach()))

    def _blend(self, value: float) -> None:
        if not math.isfinite(value):
            raise Fatal(f"the loss is {value} at step {self._at.step}; try a smaller peak_rate")
        self._shown = value if self._shown is None else self._shown + BLEND * (value - self._shown)

    def _note(self, **more: object) -> None:
        course, step = self._course, self._at.step
        epoch = max(0, step - 1) // course.steps + 1
        loss = None if self._shown is None else round(self._shown, 5)
        self._folder.progress("train", step, course.total, epoch=epoch, epochs=course.epochs, loss=loss, **more)

    def _judge(self, judge: Judge) -> None:
        self._trained.network.eval()
        with torch.no_grad():
            metrics = {name: round(float(value), 5) for name, value in judge().items()}
        self._at.judged += 1
        self._at.history.append(metrics)
        self._keep()
        self._note(metrics=metrics)

    def _keep(self) -> None:
        now = time.monotonic()
        self._at.seconds += now - self._counted
        self._counted = self._kept = now
        keep(self._folder.work, self._trained, self._at)


def chosen_epochs(steps: int, wanted: int) -> int:
    """Epochs that make about `wanted` steps: at least 5, so that every picture counts; at most 300."""
    return min(300, max(5, math.ceil(wanted / steps)))
