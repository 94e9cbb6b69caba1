"""The agent's lane with a tuner beside it, as a contender."""

from __future__ import annotations

from agent.offload.tuner import Mode, Tuner, Weights
from agent.pipeline.lane import Action
from agent.pipeline.tuned import Beside
from agent.simulation.contender import Act, Known, Maker, Offer
from agent.simulation.ourselves import Ourselves


class WithTuner(Ourselves):
    """See `agent.pipeline.tuned`: it looks before each arrival, and at all that ends."""

    def __init__(self, known: Known, seed: int, tuner: Tuner) -> None:
        super().__init__(known, seed)
        self.beside = Beside(self.lane, tuner)
        self._now = 0.0

    def arrive(self, offer: Offer, now: float) -> list[Act]:
        self._now = now
        self.beside.began(now)
        return super().arrive(offer, now)

    def _acts(self, actions: list[Action], now: float) -> list[Act]:
        self.beside.ended(actions, self._now)
        return super()._acts(actions, now)


def maker(weights: Weights, mode: Mode = Mode.ON) -> Maker:
    return lambda known, seed: WithTuner(known, seed, Tuner(weights, mode))
