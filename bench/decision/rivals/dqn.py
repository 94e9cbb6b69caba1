"""A small deep Q-network in numpy, trained off-line on a recorded sequence; nothing of it runs in the agent.

Double DQN (van Hasselt et al., AAAI 2016) with a replay buffer and a target network (Mnih et al., 2015): two layers of
`HIDDEN` rectified units, Adam, Huber loss. Everything is drawn from one seed, so that training twice gives one network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

HIDDEN = 32
GAMMA = 0.97
STEP = 2e-3  # Adam's, sinking to a twentieth
BATCH = 64
REPLAY = 20_000  # transitions kept
TARGET_EVERY = 250  # steps
EXPLORE = (1.0, 0.05)  # first and last share of random actions, linearly over the first half
Array = npt.NDArray[np.float64]
Batch = tuple[Array, npt.NDArray[np.int64], Array, Array]  # states, actions, rewards, next states


@dataclass
class Network:
    """Q of each action by state: weights and biases, layer by layer."""

    layers: list[tuple[Array, Array]]

    @classmethod
    def drawn(cls, inputs: int, actions: int, rng: np.random.Generator) -> Network:
        """He's initialisation."""
        widths = (inputs, HIDDEN, HIDDEN, actions)
        pairs = pairwise(widths)
        return cls([(rng.normal(0, np.sqrt(2 / n), (n, m)), np.zeros(m)) for n, m in pairs])

    def forward(self, states: Array) -> list[Array]:
        """The activations of each layer, inputs first; the last are the values."""
        found = [states]
        for number, (weights, bias) in enumerate(self.layers):
            raw = found[-1] @ weights + bias
            found.append(raw if number == len(self.layers) - 1 else np.maximum(raw, 0.0))
        return found

    def values(self, state: Array) -> Array:
        return self.forward(state)[-1]

    def copy(self) -> Network:
        return Network([(weights.copy(), bias.copy()) for weights, bias in self.layers])

    def gradients(self, activations: list[Array], error: Array) -> list[tuple[Array, Array]]:
        """By back-propagation of `error`, the loss's slope at the values."""
        found: list[tuple[Array, Array]] = []
        for number in reversed(range(len(self.layers))):
            below = activations[number]
            found.append((below.T @ error, error.sum(axis=0)))
            if number:
                error = (error @ self.layers[number][0].T) * (below > 0)
        return found[::-1]


@dataclass
class Adam:
    """Kingma and Ba, 2015."""

    network: Network
    _means: list[tuple[Array, Array]] = field(default_factory=list)
    _squares: list[tuple[Array, Array]] = field(default_factory=list)
    _steps: int = 0

    def __post_init__(self) -> None:
        self._means = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.network.layers]
        self._squares = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.network.layers]

    def step(self, gradients: list[tuple[Array, Array]], size: float) -> None:
        self._steps += 1
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for layer, slopes in enumerate(gradients):
            for part, slope in enumerate(slopes):
                mean, square = self._means[layer][part], self._squares[layer][part]
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope * slope - square)
                self.network.layers[layer][part][...] -= size * (mean / first) / (np.sqrt(square / second) + 1e-8)


@dataclass(frozen=True)
class Episode:
    """What an environment is: it begins, and each action gives a reward and the next state. Endless: it wraps."""

    reset: Callable[[], Array]
    act: Callable[[int], tuple[float, Array]]
    inputs: int
    actions: int


def trained(world: Episode, steps: int, seed: int) -> Network:
    """A network after so many actions in `world`."""
    rng = np.random.default_rng(seed)
    network = Network.drawn(world.inputs, world.actions, rng)
    target, adam, buffer = network.copy(), Adam(network), _Replay(world.inputs)
    state = world.reset()
    for step in range(steps):
        share = min(1.0, 2 * step / steps)
        explores = rng.random() < EXPLORE[0] + share * (EXPLORE[1] - EXPLORE[0])
        action = int(rng.integers(world.actions)) if explores else int(network.values(state).argmax())
        reward, then = world.act(action)
        buffer.add(state, action, reward, then)
        state = then
        if buffer.filled >= 10 * BATCH:
            _improve(network, target, adam, buffer.sample(rng), STEP * (1 - 0.95 * step / steps))
        if step % TARGET_EVERY == 0:
            target = network.copy()
    return network


def _improve(network: Network, target: Network, adam: Adam, batch: Batch, size: float) -> None:
    states, actions, rewards, then = batch
    rows = np.arange(len(actions))
    best = network.values(then).argmax(axis=1)
    wanted = rewards + GAMMA * target.values(then)[rows, best]
    activations = network.forward(states)
    error = np.zeros_like(activations[-1])
    error[rows, actions] = np.clip(activations[-1][rows, actions] - wanted, -1.0, 1.0) / len(actions)
    adam.step(network.gradients(activations, error), size)


class _Replay:
    def __init__(self, inputs: int) -> None:
        self._states, self._then = np.zeros((REPLAY, inputs)), np.zeros((REPLAY, inputs))
        self._actions, self._rewards = np.zeros(REPLAY, dtype=np.int64), np.zeros(REPLAY)
        self._added = 0

    @property
    def filled(self) -> int:
        return min(self._added, REPLAY)

    def add(self, state: Array, action: int, reward: float, then: Array) -> None:
        place = self._added % REPLAY
        self._states[place], self._then[place] = state, then
        self._actions[place], self._rewards[place] = action, reward
        self._added += 1

    def sample(self, rng: np.random.Generator) -> Batch:
        chosen = rng.integers(self.filled, size=BATCH)
        return self._states[chosen], self._actions[chosen], self._rewards[chosen], self._then[chosen]
