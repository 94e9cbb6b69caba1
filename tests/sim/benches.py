"""Benches with round numbers: 2 cores, a model of 10 ms alone and 100 a second, a film of 1 ms a picture."""

from __future__ import annotations

from agent.bench.figures import Bench, Film, Machine, Reached, Way

FILM = Film("quay.mp4", 1280, 720, 15.0, (0.001,) * 20, (0.0005,) * 20)


def reached_by(variant: str, speed: float = 1.0) -> Reached:
    """`speed`: times as fast as the first."""

    def way(usual: float, rate: float) -> Way:
        return Way(usual / speed, 1.5 * usual / speed, rate * speed)

    return Reached(variant, 5, 2, 4, way(0.009, 110), way(0.018, 111), way(0.01, 100), way(0.04, 100), 0.9, 0.901)


def bench(
    *names: str,
    task: str = "detection",
    release: str = "harbour 1.0.0",
    film: Film | None = FILM,
    others: float = 0.0,
    refused: tuple[tuple[str, str], ...] = (),
    stopped: bool = False,
) -> Bench:
    """Of variants with these names, each twice as fast as the one before; the last is what a box runs."""
    variants = tuple(reached_by(name, 2.0**number) for number, name in enumerate(names or ("fp32",)))
    chosen = variants[-1].variant
    return Bench(release, task, chosen, Machine("A CPU", 2, others), 30.0, variants, refused, film, stopped)
