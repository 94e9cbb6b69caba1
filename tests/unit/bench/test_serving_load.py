"""The load generator of the serving benchmark: how it is called, and what is read out of what it says."""

from __future__ import annotations

import pytest

from bench.serving import load
from bench.serving.load import Request, Target
from protos.errors import Fatal, Retryable

SAID = """starting benchmark...
finished in 1.50s, 176.00 req/s, 7.39KB/s
requests: 176 total, 178 started, 176 done, 176 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 176 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 7.39KB (7568) total, 2.58KB (2640) headers (space savings 0.00%), 880B (880) data
"""


def steady(count: int, seconds: float, since: float = 100.0) -> list[Request]:
    """One after the other."""
    return [Request(since + number * seconds, 200, seconds) for number in range(count)]


def test_a_line_of_the_log_is_start_status_and_duration_in_microseconds() -> None:
    assert load.requests_of("100000000\t200\t1500\n100002000\t503\t250\n") == [
        Request(100.0, 200, 0.0015),
        Request(100.002, 503, 0.00025),
    ]


def test_rate_and_percentiles_are_of_what_ended_after_the_time_to_settle() -> None:
    slow, fast = steady(5, 0.1), steady(100, 0.01, since=100.5)
    found = load.measured([*slow, *fast], settle=0.505)
    assert found.rate == pytest.approx(100, rel=0.01)
    assert found.p50 == pytest.approx(0.01)
    assert found.p99 == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], "no request was answered"),
        ([*steady(3, 0.1), Request(100.3, 503, 0.1)], "1 of 4 requests failed, the first with status 503"),
        (steady(3, 0.1), "measure for longer"),
    ],
)
def test_a_failed_request_or_none_at_all_is_no_measurement(requests: list[Request], said: str) -> None:
    with pytest.raises(Retryable, match=said):
        load.measured(requests, settle=0.5)


def test_answers_of_the_size_that_was_checked_are_accepted() -> None:
    load.check_answers(SAID, answer_bytes=5)


@pytest.mark.parametrize("said", [SAID.replace("(880)", "(0)"), "h2load: command not found"])
def test_answers_that_are_too_short_are_errors_though_their_status_says_nothing(said: str) -> None:
    with pytest.raises(Retryable):
        load.check_answers(said, answer_bytes=5)


def test_http_goes_over_http_1_and_grpc_over_http_2_with_the_token_shown() -> None:
    plain = load.command(Target(8000, http2=False), "/v2", {"te": "trailers"}, in_flight=4, seconds=2.5)
    assert {"--h1", "--clients=4", "--duration=2500ms", "--header=te: trailers"} < set(plain)
    assert plain[-1] == "http://127.0.0.1:8000/v2"
    secure = load.command(Target(8001, http2=True, tls=True, token="t"), "/x", {}, in_flight=1, seconds=1)
    assert "--h1" not in secure
    assert "--header=authorization: Bearer t" in secure
    assert secure[-1] == "https://127.0.0.1:8001/x"


def test_a_missing_load_generator_is_told_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LONGSHORE_NO_APT", "1")
    with pytest.raises(Fatal, match="as root, run: apt-get install nghttp2-client"):
        load.ensure()
