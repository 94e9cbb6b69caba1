"""The page where objects are written as text: what `longshore apply -f` and `edit` do, in a browser. Over the services.

The text is read here, by the rules of the command line; the browser sends each object to its own address of the REST
API, which checks and refuses as for anybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from controlplane.container import Services
from controlplane.errors import NotFound
from controlplane.identity.access import require_user
from controlplane.people import schemas as people
from controlplane.ui.documents import as_text, to_write
from controlplane.ui.page import Asked, Document, View
from controlplane.ui.shell import Page, each
from controlplane.written import WRITABLE, Written, parse
from protos.errors import Rejected

MAX_CHARACTERS = 1 << 20  # of one text: objects are small
EXAMPLE = "kind: Camera\nmetadata: {name: gate}\nspec: {node: quay-1, source: 'synthetic://harbour?seed=1', rate: 10}\n"
router = APIRouter(include_in_schema=False, dependencies=[Depends(require_user)])

_STORED: Mapping[str, Callable[[Services, str], Document]] = {
    "nodes": lambda services, name: services.fleet.get_node(name),
    "cameras": lambda services, name: services.fleet.get_camera(name),
    "deployments": lambda services, name: services.fleet.get_deployment(name),
    "settings": lambda services, name: services.settings.get(name),
    "people": lambda services, name: people.document(services.people.person(name)),
}


def show(services: Services, asked: Asked) -> View:
    """Begins with the object that ?of=cameras/gate names. The text is a value: it must not be replaced under the hands.

    Raises:
        NotFound: there is no such object.
    """
    of = asked.query.get("of", "")
    text = _text(services, of) if of else ""
    values: dict[str, Any] = {"text": text, "example": EXAMPLE}
    return View("apply.html", f"Edit {of.partition('/')[2]}" if of else "Apply", "apply", {"of": of}, values)


def _text(services: Services, of: str) -> str:
    plural, _, name = of.partition("/")
    if plural not in _STORED:
        raise NotFound(f"no object is at {of}; {', '.join(_STORED)} can be written")
    return as_text(to_write(_STORED[plural](services, name)))


@router.post("/ui/documents")
def documents(text: Annotated[str, Body(embed=True, max_length=MAX_CHARACTERS)]) -> list[dict[str, Any]]:
    """The objects in a text, each with where it is written to."""
    return [_request(each) for each in parse(text, "the text")]


def _request(written: Written) -> dict[str, Any]:
    try:
        plural = WRITABLE.get(written.kind)
        if plural is None:
            raise Rejected(f"{', '.join(WRITABLE)} can be applied; kind says {written.kind or 'nothing'}")
        name = written.name
    except Rejected as error:
        raise Rejected(f"{written.place}: {error}") from error
    return {"label": f"{written.kind.lower()}/{name}", "path": f"/api/v1/{plural}/{name}", "document": written.document}


PAGES = (Page("/apply", each(show)),)
