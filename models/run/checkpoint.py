"""A training's whole state in one file: tensors as safetensors, the rest as JSON in its header. Never pickle.

Rules that hold here: network, optimiser, schedule and both random generators are in it, so that a training that goes on
takes the steps it would have taken; it is written whole, and one that cannot be read is an error, not a fresh start.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from models.run.folder import write_whole
from protos.errors import Rejected

NAME = "checkpoint.safetensors"


@dataclass
class Position:
    """How far a training is."""

    step: int = 0
    judged: int = 0  # epochs of which the metrics are known
    seconds: float = 0.0  # spent in all, over every start
    history: list[dict[str, float]] = field(default_factory=list)  # metrics of each epoch


@dataclass(frozen=True)
class Trained:
    """What changes while training."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator


def keep(folder: Path, trained: Trained, position: Position) -> None:
    """Write the checkpoint in `folder`, in place of the one before."""
    tensors = {f"network.{name}": value for name, value in trained.network.state_dict().items()}
    state = trained.optimiser.state_dict()
    for number, values in state["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors["torch_rng"] = torch.get_rng_state()
    rest = {
        "position": vars(position),
        "groups": state["param_groups"],
        "schedule": trained.schedule.state_dict(),
        "rng": trained.rng.bit_generator.state,
    }
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_whole(folder / NAME, save(plain, {"longshore": json.dumps(rest)}))


def go_on(folder: Path, trained: Trained) -> Position:
    """Bring `trained` to where the checkpoint in `folder` is; the very start when there is none.

    Raises:
        Rejected: the checkpoint is damaged or of another network.
    """
    if not (folder / NAME).exists():
        return Position()
    try:
        with safe_open(folder / NAME, "pt") as file:
            rest = json.loads(file.metadata()["longshore"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        _restore(trained, tensors, rest)
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise Rejected(f"{folder / NAME} cannot be gone on from; remove it to begin again ({error})") from error
    return Position(**rest["position"])


def _restore(trained: Trained, tensors: dict[str, Any], rest: dict[str, Any]) -> None:
    trained.network.load_state_dict(_below("network", tensors))
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below("optimiser", tensors).items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    trained.optimiser.load_state_dict({"state": state, "param_groups": rest["groups"]})
    trained.schedule.load_state_dict(rest["schedule"])
    trained.rng.bit_generator.state = rest["rng"]
    torch.set_rng_state(tensors["torch_rng"])


def _below(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
