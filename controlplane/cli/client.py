"""The REST API as commands see it: documents in and out, errors of protos.errors with the server's sentence.

httpx is named here and nowhere else in the CLI. A 4xx is Rejected (404: NotFound, 409: Conflict), no answer and 5xx
and 429 are Retryable. The token goes into one header and into no message.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from controlplane.cli.contexts import Context
from controlplane.cli.exits import Conflict, NotFound
from protos.errors import LongshoreError, Rejected, Retryable
from protos.ids import Digest, hex_of

API = "/api/v1"
PAGE = 1_000  # items of a long list asked for at a time
Document = dict[str, Any]
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0  # a push commits before it answers


class Client:
    """One connection pool to one control plane. Use as a context manager."""

    def __init__(
        self,
        context: Context,
        transport: httpx.BaseTransport | None = None,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self.context = context
        headers = {"Authorization": f"Bearer {_sendable(context.token)}"} if context.token else {}
        self._http = httpx.Client(
            base_url=_checked(context.url) + API,
            headers=headers,
            verify=_trust(context),
            timeout=httpx.Timeout(answer_seconds, connect=min(answer_seconds, _CONNECT_SECONDS)),
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer to one request.

        Raises:
            Retryable, NotFound, Rejected: in the server's words where it has any.
        """
        with _translated(self.context):
            response = self._http.request(method, path, **options)
        # It is read by now. Stream and response hold each other, and with them what was sent: 2 MiB of each piece of a
        # push, until the collector comes by.
        response.stream = httpx.ByteStream(b"")
        return _accepted(response)

    @contextmanager
    def stream(self, path: str, params: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """An answer of any length, piece by piece. Raises as `call`, in the block as well: the rest did not come."""
        with _translated(self.context), self._http.stream("GET", path, params=params) as response:
            if not response.is_success:
                response.read()
            yield _accepted(response).iter_bytes(1 << 16)

    def document(self, method: str, path: str, **options: Any) -> Document:
        """See `call`. Raises Rejected as well: it is no control plane."""
        try:
            answer = self.call(method, path, **options).json()
        except ValueError as error:
            raise Rejected(f"{self.context.url} is no control plane: its answer is not JSON") from error
        if not isinstance(answer, dict):
            raise Rejected(f"{self.context.url} is no control plane: its answer is no object")
        return answer

    def listed(self, plural: str, selector: str = "") -> list[Document]:
        params = {"labelSelector": selector} if selector else {}
        items: list[Document] = self.document("GET", f"/{plural}", params=params)["items"]
        return items

    def pages(self, path: str, params: Mapping[str, Any], most: int | None) -> Iterator[Document]:
        """At most so many items of a list of any length, asked for as they are taken."""
        asked = {**params, "limit": min(PAGE, most or PAGE)}
        found = self._pages(path, asked)
        return found if most is None else islice(found, most)

    def _pages(self, path: str, asked: dict[str, Any]) -> Iterator[Document]:
        while True:
            page = self.document("GET", path, params=asked)
            yield from page["items"]
            if not page["metadata"]["continue"]:
                return
            asked["continue"] = page["metadata"]["continue"]

    def one(self, plural: str, name: str) -> Document:
        return self.document("GET", address(plural, name))

    def piece(self, file: Digest, start: int, stop: int) -> bytes:
        """Of a file of the registry, the bytes from `start` to before `stop`."""
        span = {"Range": f"bytes={start}-{stop - 1}"}
        return self.call("GET", address("blobs", hex_of(file)), headers=span).content

    def metadata(self, file: str) -> bytes | None:
        """What was signed, as it was; None: there is no such file."""
        try:
            return self.call("GET", address("metadata", file)).content
        except NotFound:
            return None


def address(plural: str, name: str, *more: str) -> str:
    """Raises Rejected: an empty name and one with a slash would lead to another address."""
    if name in {"", ".", ".."} or "/" in name:
        raise Rejected(f"{name!r} cannot be the name of an object; 'longshore get {plural}' lists them")
    return "/" + "/".join(quote(part, safe="") for part in (plural, name, *more))


def _sendable(token: str) -> str:
    """Raises Rejected: no token looks like this, and no header could carry it."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Rejected("this API token holds a space, a line end or a letter that no token has; copy it once more")
    return token


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a bracket without its other half, a port that is no number
        sound = False
    if not sound:
        raise Rejected(f"{url!r} is no address of a control plane; write it like https://fleet.example:8443")
    return url


def _trust(context: Context) -> ssl.SSLContext | bool:
    if context.url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used; loading the system's list takes a quarter second
    if not context.ca_pem:
        return True
    try:
        return ssl.create_default_context(cadata=context.ca_pem)
    except ssl.SSLError as error:
        raise Rejected("the CA of this context is not a PEM certificate; run 'longshore login URL' again") from error


@contextmanager
def _translated(context: Context) -> Iterator[None]:
    url = context.url
    try:
        yield
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise Rejected(
                f"{url} shows a certificate this context does not trust; if its CA was renewed, run 'longshore login"
                f" {url}' again"
            ) from error
        if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER" in str(error):
            raise Rejected(f"{url} does not speak https; if it is a plain address, write http://") from error
        raise Retryable(f"nobody answers at {url}; {_why_nobody(context)}") from error
    except httpx.TimeoutException as error:
        raise Retryable(f"{url} did not answer in time; try again, or look at its log") from error
    except httpx.RemoteProtocolError as error:
        hint = "; if it wants https, write https://" if url.startswith("http://") else ""
        raise Retryable(f"{url} broke off without an answer; try again{hint}") from error
    except httpx.HTTPError as error:
        raise Retryable(f"the connection to {url} broke; try again") from error


def _why_nobody(context: Context) -> str:
    if context.state:
        return f"the 'longshore up' that keeps its state in {context.state} does not run: start it again"
    return "is the control plane running, and is this its address?"


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    raise _error(response.status_code, _sentence(response))


def _sentence(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    told = answer.get("error") if isinstance(answer, Mapping) else None
    message = told.get("message") if isinstance(told, Mapping) else None
    return str(message or f"the control plane answered {response.status_code} {response.reason_phrase}")


def _error(status: int, sentence: str) -> LongshoreError:
    if status == 404:
        return NotFound(sentence)
    if status == 409:
        return Conflict(sentence)
    if status in {429, 502, 503, 504} or status >= 500:
        return Retryable(sentence)
    return Rejected(sentence)
