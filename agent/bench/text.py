"""A bench as people read it in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agent.bench.capacity import FASTEST, Room, fastest
from agent.bench.figures import Bench, Film, Reached, Way
from agent.trial.tally import table

BAR = 32  # characters
_EIGHTHS = " ▏▎▍▌▋▊▉"
TITLES = ("VARIANT", "FRAMES", "RAW", "P95", "AGENT", "P95", "OF RAW")


def text(bench: Bench) -> str:
    """Head, table of what was reached, the film, cameras, notes; parts that there are not are left out."""
    machine = bench.machine
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    parts = [f"{bench.release} on {cores} ({machine.cpu}), {bench.seconds:.0f} s"]
    if bench.variants:
        rows = [row for each in bench.variants for row in _rows(each)]
        parts.append(f"{table(TITLES, rows)}\nraw: ONNX Runtime alone in one process; agent: through its worker")
    parts += [f"{name} does not run here: {why}" for name, why in bench.refused]
    if bench.film is not None:
        parts.append(film(bench.film))
    parts += _cameras(bench)
    return "\n\n".join([*parts, *notes(bench)])


def _rows(of: Reached) -> list[tuple[str, ...]]:
    alone = ("one alone", *_times(of.raw_alone), *_times(of.agent_alone), percent(of.of_alone))
    many = (f"{of.in_flight} at once", *_rates(of.raw_many), *_rates(of.agent_many), percent(of.of_many))
    return [(of.variant, *alone), ("", *many)]


def _times(way: Way) -> tuple[str, str]:
    return milliseconds(way.usual), milliseconds(way.slow)


def _rates(way: Way) -> tuple[str, str]:
    return per_second(way.rate), milliseconds(way.slow)


def film(film: Film) -> str:
    of = f"a picture of {film.what} ({film.width}×{film.height}, {film.rate:g} a second)"
    return f"{of}: decoding {milliseconds(film.mean_decode)}, fitting {milliseconds(film.mean_fit)} of a core"


def _cameras(bench: Bench) -> list[str]:
    if not bench.counts_cameras:
        return ["cameras are not counted: they show only what a detection release finds"] if bench.variants else []
    return [_block(bench, each) for each in bench.variants]


def _block(bench: Bench, of: Reached) -> str:
    rooms = bench.rooms(of)
    most = max((room.cameras for each in bench.variants for room in bench.rooms(each)), default=0)
    chosen = ", which a box runs" if of.variant == bench.chosen and len(bench.variants) > 1 else ""
    head = f"cameras that fit with {of.variant}{chosen}, half of the machine left free"
    best = fastest(bench.demand(of))
    tail = "" if best >= FASTEST else f"\none camera alone: up to {best:g} frames a second"
    return f"{head}\n\n{table(('EACH', 'CAMERAS', 'WITHIN', 'DECODING', ''), _lines(rooms, most))}{tail}"


def _lines(rooms: Sequence[Room], most: int) -> list[tuple[str, ...]]:
    return [
        (
            f"{room.rate:g}/s",
            str(room.cameras),
            f"{room.deadline_ms} ms" if room.deadline_ms else "–",
            percent(room.decoding) if room.cameras else "–",
            bar(room.cameras, most),
        )
        for room in rooms
    ]


def bar(value: float, most: float) -> str:
    """In eighths of a character."""
    eighths = round(value / most * BAR * 8) if most > 0 else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def notes(bench: Bench) -> list[str]:
    """What people should know before they believe the figures."""
    found = []
    if bench.machine.is_busy:
        others = f"{bench.machine.others:.1f} of {bench.machine.cores} cores"
        found.append(f"this machine had other work ({others}): alone it does better; run it again when it is idle")
    if bench.stopped:
        found.append("stopped; what was measured up to there")
    return found


def milliseconds(seconds: float) -> str:
    """Three digits that count, or whole ones."""
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 1 else f"{value:.2g} ms"


def per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.1f}/s"


def percent(share: float) -> str:
    return f"{share:.0%}"
