"""The control plane's HTTPS side, for a box without a certificate that is good for a call.

To join: GET /api/v1/ca, which proves nothing and carries nothing, and POST /api/v1/enroll on a new connection, verified
with the CA that the token pins. To renew one that expired: POST /api/v1/renew, verified with the CA the box
has kept. No redirect is followed, no proxy of the environment is used, answers are capped.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from google.protobuf import json_format
from google.protobuf.message import Message

from agent.adapters import http_client
from agent.adapters.blob_https import pinned
from agent.adapters.http_client import NoHttp, Question
from agent.identity.joining import Admission, Wish
from agent.identity.store import Identity
from protos import fleet_pb2
from protos.errors import InvalidToken, LongshoreError, Rejected, Retryable

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 15.0
MOST_BYTES = 256 << 10  # of an answer
_TOKEN_REFUSED = {401, 403, 409, 410}

M = TypeVar("M", bound=Message)


class HttpsFrontDoor:
    """See agent.identity.joining.FrontDoor."""

    def __init__(self, url: str) -> None:
        """Raises Rejected when `url` is not https://host[:port]."""
        self._url = f"https://{_parts(url).netloc}"

    @property
    def url(self) -> str:
        return self._url

    def ca(self) -> bytes:
        """See the port."""
        status, content = self._ask("GET", "/api/v1/ca", None)
        if status != 200:
            raise Rejected(f"{self._url} is no Longshore control plane (it answered {status}); check the address")
        return content

    def enroll(self, wish: Wish, request: str, ca: bytes) -> Admission:
        """See the port."""
        message = fleet_pb2.EnrollRequest(
            token=str(wish.token),
            node_id=wish.node_id,
            csr_pem=request,
            labels=wish.labels,
            role=wish.role,
            agent_version=wish.agent_version,
            host_name=wish.host_name,
        )
        status, content = self._ask("POST", "/api/v1/enroll", pinned(ca), json_format.MessageToDict(message))
        if status not in (200, 201):
            raise _refusal(status, content)
        return _admission(content)

    def _ask(self, method: str, path: str, trust: ssl.SSLContext | None, body: object = None) -> tuple[int, bytes]:
        """`trust` None: the connection proves nothing; only the CA may be asked for, never a secret be sent."""
        import httpx  # loaded when a box joins, not with the agent

        try:
            with (
                httpx.Client(verify=trust or False, timeout=TIMEOUT_SECONDS, trust_env=False) as client,
                client.stream(method, self._url + path, json=body) as answer,
            ):
                return answer.status_code, _capped(answer)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise _translate(self._url, error) from error


class HttpsLateDoor:
    """See agent.identity.renewal.LateDoor."""

    async def renew(self, old: Identity, request: str, proof: bytes) -> tuple[str, str]:
        """See the port."""
        url, certificate = old.member.url, old.certificate.decode("ascii", "replace")
        message = fleet_pb2.LateRenewRequest(certificate_pem=certificate, csr_pem=request, proof=proof)
        body = json_format.MessageToJson(message).encode()
        question = Question(f"{url}/api/v1/renew", {"Content-Type": "application/json"}, "POST", body)
        try:
            async with http_client.ask(question, pinned(old.ca), TIMEOUT_SECONDS) as answer:
                content = b""
                async for chunk in answer.body:
                    content = _grown(content, chunk, url)
        except (NoHttp, OSError, TimeoutError) as error:
            raise _translate(url, error) from error
        if answer.status != 200:
            raise _refusal(answer.status, content)
        renewed = _parsed(content, fleet_pb2.Certificate())
        return renewed.certificate_pem, renewed.ca_pem


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:  # a bracket without its other half, a port that is no number
        usable = False
    if not usable:
        raise Rejected(f"{url!r} must be https://HOST[:PORT], as 'longshore token create' prints it")
    return parts


def _translate(url: str, error: Exception) -> LongshoreError:
    text = str(error)
    if "not yet valid" in text or "has expired" in text:
        return Rejected(f"{url}: its certificate is not valid by this box's clock; set the clock, or run NTP")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return Rejected(
            f"{url} shows a certificate that its own CA does not vouch for under this name; use the address "
            "that 'longshore token create' prints, and look for somebody in between"
        )
    return Retryable(f"{url} cannot be reached ({text or type(error).__name__}); check address and network")


def _capped(answer: httpx.Response) -> bytes:
    content = b""
    for chunk in answer.iter_bytes():
        content = _grown(content, chunk, answer.url.host)
    return content


def _grown(content: bytes, chunk: bytes, where: str) -> bytes:
    if len(content) + len(chunk) > MOST_BYTES:
        raise Rejected(f"{where} answers with more than {MOST_BYTES} bytes; check the address")
    return content + chunk


def _refusal(status: int, content: bytes) -> LongshoreError:
    reason = _message(content) or f"the control plane answered {status}"
    if status in _TOKEN_REFUSED:
        return InvalidToken(reason)
    if status == 429 or status >= 500:
        return Retryable(f"{reason}; try again")
    return Rejected(reason)


def _message(content: bytes) -> str:
    """The sentence in {"error": {"message": …}}."""
    import json

    try:
        found: Any = json.loads(content)
        return str(found["error"]["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return ""


def _admission(content: bytes) -> Admission:
    answer = _parsed(content, fleet_pb2.EnrollResponse())
    return Admission(
        node_id=answer.node_id,
        role=answer.role,
        certificate=answer.certificate.certificate_pem.encode(),
        ca=answer.certificate.ca_pem.encode(),
        fleet_address=answer.fleet_address,
        root=answer.root,
    )


def _parsed(content: bytes, message: M) -> M:
    try:
        return json_format.Parse(content, message, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Rejected("the control plane's answer is not readable; update the agent") from error
