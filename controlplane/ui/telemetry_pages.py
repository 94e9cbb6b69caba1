"""The page of lost telemetry, over the services. The view itself is pure."""

from __future__ import annotations

from controlplane.books import schemas
from controlplane.books.repository import Wanted
from controlplane.container import Services
from controlplane.insights.matching import place
from controlplane.ui import telemetry
from controlplane.ui.page import Asked, View
from controlplane.ui.shell import Page, each
from protos.errors import Rejected

ON_A_PAGE = 50


def list_gaps(services: Services, asked: Asked) -> View:
    """Raises Retryable."""
    books, wish, now = services.books, telemetry.filters(asked.query), services.books.now_ms
    wanted = Wanted(now - wish.span_ms, now + 1, wish.node, wish.record_class)
    try:
        after = place(wish.after)
    except Rejected:
        after = None
    found = books.gaps(wanted, ON_A_PAGE, after)
    return telemetry.gaps(
        telemetry.Input(
            now_ms=now,
            filters=wish,
            rows=[schemas.gap(row).model_dump(by_alias=True) for row in found.gaps],
            sums=books.gap_sums(wanted, telemetry.step_of(wish.span_ms)),
            after=str(found.after or ""),
            kept=books.fleet(),
            nodes=services.fleet.names().nodes,
        )
    )


PAGES = (Page("/gaps", each(list_gaps)),)
