"""Pressure: h2load posts one request over and over on a number of connections, one under way on each.

h2load tells each request's start, status and duration in a log; rates and percentiles are made from that, after a time
to settle (its own warm-up does not work with HTTP/1.1, and its table knows no percentiles).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.trial.tally import percentile
from bench.serving.cells import Measured
from bench.serving.wire import Call
from protos.errors import Fatal, Retryable

PACKAGE = "nghttp2-client"
SETTLE_SECONDS = 0.5
HUNG_SECONDS = 15.0  # beyond its time, until h2load is given up
OK = 200
_DATA = re.compile(r"^traffic: .*\((\d+)\) data$", re.MULTILINE)
_DONE = re.compile(r"^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed", re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """One that ended; seconds."""

    started: float
    status: int
    seconds: float

    @property
    def ended(self) -> float:
        return self.started + self.seconds


def requests_of(log: str) -> list[Request]:
    """The log of h2load: start in microseconds, status, duration in microseconds. Raises ValueError."""
    rows = (line.split("\t") for line in log.splitlines() if line)
    return [Request(int(started) / 1e6, int(status), int(took) / 1e6) for started, status, took in rows]


def measured(requests: Sequence[Request], settle: float) -> Measured:
    """What happened from `settle` seconds after the first start to the last end.

    Raises Retryable where a request failed or none ended in that time.
    """
    if not requests:
        raise Retryable("no request was answered; look into the server's log")
    failed = [each.status for each in requests if each.status != OK]
    if failed:
        raise Retryable(f"{len(failed)} of {len(requests)} requests failed, the first with status {failed[0]}")
    since = min(each.started for each in requests) + settle
    inside = [each.seconds for each in requests if each.ended >= since]
    span = max(each.ended for each in requests) - since
    if not inside or span <= 0:
        raise Retryable(f"no request was answered after the first {settle:g} s; measure for longer (--seconds)")
    return Measured(len(inside) / span, percentile(inside, 0.5), percentile(inside, 0.99))


def check_answers(said: str, answer_bytes: int) -> None:
    """Raises Retryable where answers were shorter than the one that was checked: gRPC tells its errors in trailers."""
    done, data = _DONE.search(said), _DATA.search(said)
    if done is None or data is None:
        raise Retryable(f"h2load did not tell how it went: {said[-200:]!r}")
    succeeded, received = int(done[2]), int(data[1])
    if received < 0.9 * succeeded * answer_bytes:  # text differs by a few characters from answer to answer
        raise Retryable(
            f"{succeeded} answers had {received} bytes, where {answer_bytes} each were due; some are errors"
        )


@dataclass(frozen=True)
class Target:
    """Where a call goes."""

    port: int
    http2: bool
    tls: bool = False
    token: str = ""


def command(target: Target, path: str, headers: Mapping[str, str], in_flight: int, seconds: float) -> list[str]:
    """All but the files."""
    scheme = "https" if target.tls else "http"
    shown = {**headers, **({"authorization": f"Bearer {target.token}"} if target.token else {})}
    return [
        "h2load",
        *(() if target.http2 else ("--h1",)),
        f"--clients={in_flight}",
        f"--duration={round(seconds * 1000)}ms",
        *(f"--header={name}: {value}" for name, value in shown.items()),
        f"{scheme}://127.0.0.1:{target.port}{path}",
    ]


def press(target: Target, call: Call, in_flight: int, seconds: float, answer_bytes: int) -> Measured:
    """Raises Retryable: requests failed, or answers were not those that were checked before."""
    with tempfile.TemporaryDirectory() as place:
        body, log = Path(place) / "body", Path(place) / "log"
        body.write_bytes(call.body)
        asked = command(target, call.path, call.headers, in_flight, seconds + SETTLE_SECONDS)
        said = _ran([*asked[:1], f"--data={body}", f"--log-file={log}", *asked[1:]], seconds + HUNG_SECONDS)
        found = measured(requests_of(log.read_text() if log.exists() else ""), SETTLE_SECONDS)
    check_answers(said, answer_bytes)
    return found


def _ran(words: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise Retryable(
            f"h2load did not end within {seconds:.0f} s; the server hangs or closes its connections"
        ) from error
    if done.returncode:
        raise Retryable(f"h2load failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


def ensure() -> None:
    """Have h2load. Installed when we are root and apt is not to be left alone; else raises Fatal."""
    if shutil.which("h2load"):
        return
    if os.geteuid() != 0 or os.environ.get("LONGSHORE_NO_APT") or not shutil.which("apt-get"):
        raise Fatal(f"the load generator h2load is missing; as root, run: apt-get install {PACKAGE}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", PACKAGE]):
        subprocess.run(["apt-get", *words], env=environment, capture_output=True, check=False)
    if not shutil.which("h2load"):
        raise Fatal(f"the load generator h2load could not be installed; run: apt-get install {PACKAGE}")
