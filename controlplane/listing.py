"""Lists of objects over HTTP, the same for every kind: `labelSelector`, `limit` and `continue` in, one shape out.

Without `limit` a list is whole. With it, `metadata.continue` of the answer is where the next page begins; empty at the
end. It names a place in the order of the list and not an object, so that paging goes on when that object is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import Field

from controlplane.schemas import Answer
from controlplane.shape import API_VERSION

MOST = 1000  # objects on one page
T = TypeVar("T")

Selector = Annotated[str, Query(alias="labelSelector", max_length=1000, description="a=b,c!=d,e,!f,g in (x,y)")]
Limit = Annotated[int | None, Query(ge=1, le=MOST, description="objects on one page; without it all come")]
Continue = Annotated[str, Query(alias="continue", max_length=200, description="metadata.continue of the page before")]


class ListMetadata(Answer):
    next: str = Field(
        default="", serialization_alias="continue", description="where the next page begins; empty: this is the last"
    )


class WholeList(Answer):
    """A list that is never paged: its kind follows from its class."""

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ListMetadata = Field(default_factory=ListMetadata)

    def model_post_init(self, _context: object) -> None:
        self.kind = type(self).__name__


def one_more(limit: int | None) -> int | None:
    """How many to ask for, so that `page` can see whether this is the end."""
    return None if limit is None else limit + 1


def page(items: Sequence[T], limit: int | None, place: Callable[[T], str]) -> tuple[Sequence[T], ListMetadata]:
    """What to show of `items`, which are at most one more than `limit`."""
    if limit is None or len(items) <= limit:
        return items, ListMetadata()
    return items[:limit], ListMetadata(next=place(items[limit - 1]))
