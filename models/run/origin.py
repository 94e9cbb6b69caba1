"""Where weights came from, in rows for a card."""

import torch

from models.run.machine import Machine
from models.run.minutes import Minutes


def facts(command: str, machine: Machine, spent: Minutes, weights_sha256: str) -> dict[str, str]:
    minutes = ", ".join(f"{spent.of(part):.1f} min {part}" for part in ("reading", "fitting", "measuring"))
    return {
        "command": f"`{command}`",
        "time": f"{minutes} on {machine.words}",
        "torch": str(torch.__version__),
        "weights": f"sha256 `{weights_sha256}`",
    }
