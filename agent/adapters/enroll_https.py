"""The control plane's HTTPS side, for a box that has no certificate yet: GET /api/v1/ca, POST /api/v1/enroll.

The first request proves nothing and carries nothing; the second runs on a new connection, verified with the CA that the
token pins. No redirect is followed, no proxy of the environment is used, answers are capped.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from google.protobuf import json_format

from agent.identity.joining import Admission, Wish
from protos import fleet_pb2
from protos.errors import InvalidToken, LongshoreError, Rejected, Retryable

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 15.0
MOST_BYTES = 256 << 10  # of an answer
_TOKEN_REFUSED = {401, 403, 409, 410}


class HttpsFrontDoor:
    """See agent.identity.joining.FrontDoor."""

    def __init__(self, url: str) -> None:
        """Raises Rejected when `url` is not https://host[:port]."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise Rejected(f"{url!r} must be https://HOST[:PORT], as 'longshore token create' prints it")
        self._url = f"https://{parts.netloc}"

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
        trust = ssl.create_default_context(cadata=ca.decode("ascii", "replace"))
        status, content = self._ask("POST", "/api/v1/enroll", trust, json_format.MessageToDict(message))
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
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> LongshoreError:
        text = str(error)
        if "not yet valid" in text or "has expired" in text:
            return Rejected(f"{self._url}: its certificate is not valid by this box's clock; set the clock, or run NTP")
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return Rejected(
                f"{self._url} shows a certificate that its own CA does not vouch for under this name; use the address "
                "that 'longshore token create' prints, and look for somebody in between"
            )
        return Retryable(f"{self._url} cannot be reached ({text or type(error).__name__}); check address and network")


def _capped(answer: httpx.Response) -> bytes:
    content = b""
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) > MOST_BYTES:
            raise Rejected(f"{answer.url.host} answers with more than {MOST_BYTES} bytes; check the address")
    return content


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
    try:
        answer = json_format.Parse(content, fleet_pb2.EnrollResponse(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Rejected("the control plane's answer is not readable; update the agent") from error
    certificate = answer.certificate
    return Admission(
        answer.node_id, certificate.certificate_pem.encode(), certificate.ca_pem.encode(), answer.fleet_address
    )
