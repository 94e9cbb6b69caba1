"""On which terms boxes decide about the frames of a Deployment: what they are worth, what may be spent on them. Pure.

A limit that is left out is none; one of nothing at all is refused, since it would be a switch in disguise. Money stays
in the currency it was written in: no rate of exchange is known here, so what things cost has to be told in the same.
What stays on its box stays there whatever it would be worth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from controlplane.fields import Fields, flag, number
from controlplane.fleet import quantities
from controlplane.fleet.quantities import Money
from protos import ids
from protos.errors import Rejected
from protos.ids import CameraName

MAX_VALUE = 1_000.0  # of a detection or a camera, where 1 is what everything else is worth
MAX_FLOOR = 60.0  # frames per second: no camera is due more often
MOST_NAMED = 256  # labels or cameras
NONE, ALL = "none", "all"
DEFAULT = "default"  # what boxes assume that a thing costs
USD = "USD"  # what the costs that boxes assume are in

T = TypeVar("T")
Kept = tuple[tuple[CameraName, ...], bool]  # which cameras, and whether that is all
_NOTHING: Kept = ((), False)


@dataclass(frozen=True)
class Costs:
    """What things cost; None: as boxes assume it (agent.offload.terms)."""

    gigabyte: Money | None = None  # of data sent
    cloud_second: Money | None = None  # of a cloud node's inference
    grams_per_kwh: float | None = None  # of CO2, of the power that the box takes


@dataclass(frozen=True)
class Terms:
    """Limits are of each box, for this Deployment; None: no limit."""

    values: tuple[tuple[str, float], ...] = ()  # by label, sorted; every other is worth 1
    camera_values: tuple[tuple[CameraName, float], ...] = ()  # sorted; every other counts once
    per_day: Money | None = None
    watts: float | None = None
    grams_per_hour: float | None = None  # of CO2
    costs: Costs = Costs()
    floor_rate: float = 1.0  # frames per second and camera that overload never takes; those due, where fewer are
    safety: bool = False  # prices do not apply
    stays: tuple[CameraName, ...] = ()  # sorted: no picture of these goes to a cloud node
    all_stay: bool = False

    @property
    def currency(self) -> str:
        """Of all money here."""
        told = (self.per_day, self.costs.gigabyte, self.costs.cloud_second)
        return next((money.currency for money in told if money is not None), USD)

    def keep(self, cameras: Collection[CameraName]) -> bool:
        """Whether pictures of any of these stay on their box."""
        return self.all_stay or not set(self.stays).isdisjoint(cameras)

    @property
    def cameras(self) -> list[CameraName]:
        """Those that are named, sorted."""
        return sorted({*self.stays, *(name for name, _ in self.camera_values)})


AS_EVER = Terms()  # all is worth the same, and nothing but the uplink is limited


def terms_from_spec(value: object, where: str) -> Terms:
    """Raises Rejected."""
    fields = Fields(value, where)
    stays, all_stay = fields.take("stays", _stays, default=_NOTHING)
    found = Terms(
        values=fields.take("values", _values, default=()),
        camera_values=fields.take("cameraValues", _camera_values, default=()),
        per_day=fields.take("money", _limit(_money("day")), default=None),
        watts=fields.take("power", _limit(quantities.watts), default=None),
        grams_per_hour=fields.take("carbon", _limit(quantities.grams_per_hour), default=None),
        costs=fields.take("costs", _costs, default=Costs()),
        floor_rate=fields.take("floorRate", number(0, MAX_FLOOR), default=Terms.floor_rate),
        safety=fields.take("safety", flag, default=Terms.safety),
        stays=stays,
        all_stay=all_stay,
    )
    fields.done()
    _check_currency(found, where)
    return found


def terms_to_spec(terms: Terms) -> dict[str, object]:
    """The inverse of `terms_from_spec`."""
    return {
        "values": dict(terms.values),
        "cameraValues": dict(terms.camera_values),
        "money": _shown(terms.per_day, lambda money: money.text("day")),
        "power": _shown(terms.watts, quantities.watts_text),
        "carbon": _shown(terms.grams_per_hour, quantities.grams_per_hour_text),
        "costs": {
            "data": _shown(terms.costs.gigabyte, lambda money: money.text("GB"), DEFAULT),
            "cloud": _shown(terms.costs.cloud_second, lambda money: money.text("s"), DEFAULT),
            "grid": _shown(terms.costs.grams_per_kwh, quantities.grams_per_kwh_text, DEFAULT),
        },
        "floorRate": terms.floor_rate,
        "safety": terms.safety,
        "stays": ALL if terms.all_stay else list(terms.stays),
    }


def _shown(value: T | None, text: Callable[[T], str], otherwise: str = NONE) -> str:
    return otherwise if value is None else text(value)


def _limit(read: Callable[[object, str], T]) -> Callable[[object, str], T | None]:
    """`none`, or more than nothing."""

    def read_limit(value: object, where: str) -> T | None:
        if value == NONE:
            return None
        found = read(value, where)
        if not (found.amount if isinstance(found, Money) else found):
            raise Rejected(f"{where} must be more than 0; {NONE} sets no limit")
        return found

    return read_limit


def _cost(read: Callable[[object, str], T]) -> Callable[[object, str], T | None]:
    return lambda value, where: None if value == DEFAULT else read(value, where)


def _money(per: str) -> Callable[[object, str], Money]:
    return lambda value, where: quantities.money(value, where, per)


def _costs(value: object, where: str) -> Costs:
    fields = Fields(value, where)
    found = Costs(
        gigabyte=fields.take("data", _cost(_money("GB")), default=None),
        cloud_second=fields.take("cloud", _cost(_money("s")), default=None),
        grams_per_kwh=fields.take("grid", _cost(quantities.grams_per_kwh), default=None),
    )
    fields.done()
    return found


def _check_currency(terms: Terms, where: str) -> None:
    """Raises Rejected: a cost is in another currency than the other money."""
    for name, cost in (("data", terms.costs.gigabyte), ("cloud", terms.costs.cloud_second)):
        found = cost.currency if cost else USD
        if found != terms.currency:
            raise Rejected(
                f"{where}.costs.{name} is {'' if cost else 'assumed '}in {found} and other money here in "
                f"{terms.currency}; no rate of exchange is known, so write it in {terms.currency} too"
            )


def _values(value: object, where: str) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(_valued(value, where, "labels", "{boat: 5}").items()))


def _camera_values(value: object, where: str) -> tuple[tuple[CameraName, float], ...]:
    found = _valued(value, where, "cameras", "{gate: 2}")
    return tuple(sorted((ids.camera_name(name), worth) for name, worth in found.items()))


def _valued(value: object, where: str, what: str, like: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise Rejected(f"{where} must give {what} their value, such as {like}")
    _check_count(value, where)
    return {name: number(0, MAX_VALUE)(worth, f"{where}.{name[:63]}") for name, worth in value.items()}


def _stays(value: object, where: str) -> Kept:
    if value == ALL:
        return (), True
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Rejected(f"{where} must be a list of cameras, such as [gate, berth], or {ALL}")
    _check_count(value, where)
    return tuple(sorted({ids.camera_name(name) for name in value})), False


def _check_count(named: Collection[object], where: str) -> None:
    if len(named) > MOST_NAMED:
        raise Rejected(f"{where} names {len(named)}, more than the {MOST_NAMED} allowed")
