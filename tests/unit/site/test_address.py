"""A site cache stands on one local address, and is asked at one; all else is refused with the next step."""

from __future__ import annotations

import pytest

from agent.config import from_environment
from agent.site import address
from agent.site.address import Place
from protos.errors import Rejected

LOCAL = [
    "127.0.0.1",
    "10.0.0.5",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.9",
    "169.254.7.7",
    "::1",
    "fd00::5",
    "fe80::1",
]
ELSEWHERE = [
    "0.0.0.0",
    "::",
    "8.8.8.8",
    "172.32.0.1",
    "11.0.0.1",
    "100.64.0.1",
    "2001:db8::1",
    "::ffff:8.8.8.8",
    "",
    "x",
]


@pytest.mark.parametrize("host", [*LOCAL, "::ffff:10.0.0.5", "fe80::1%eth0"])
def test_what_no_router_of_the_internet_carries_is_local(host: str) -> None:
    assert address.is_local(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_public_addresses_names_and_all_addresses_at_once_are_not(host: str) -> None:
    assert not address.is_local(host)


@pytest.mark.parametrize("host", LOCAL)
def test_a_cache_listens_on_a_local_address(host: str) -> None:
    place = Place(host, 8003)
    assert address.listens(str(place), "KEY") == address.asked(f"http://{place}", "KEY") == place


@pytest.mark.parametrize(
    "text", ["0.0.0.0:8003", "[::]:8003", "203.0.113.7:8003", "localhost:8003", "cache.example:8003"]
)
def test_a_cache_on_a_public_address_or_on_all_is_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(Rejected, match=r"LONGSHORE_AGENT_SITE_CACHE_LISTEN one that this box's network card has"):
        from_environment({"LONGSHORE_AGENT_SITE_CACHE_LISTEN": text})
    with pytest.raises(Rejected, match=r"LONGSHORE_AGENT_SITE_CACHE one that"):
        from_environment({}, site_cache=f"http://{text}")


@pytest.mark.parametrize(
    "text", ["10.0.0.5", ":8003", "10.0.0.5:x", "10.0.0.5:99999", "10.0.0.5:8003/x", "a@10.0.0.5:1"]
)
def test_what_is_no_address_and_port_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="must read ADDRESS:PORT"):
        address.listens(text, "KEY")


@pytest.mark.parametrize(
    "url", ["10.0.0.5:8003", "https://10.0.0.5:8003", "http://10.0.0.5", "http://10.0.0.5:0", "http://10.0.0.5:1/x"]
)
def test_what_is_no_url_of_a_cache_is_refused(url: str) -> None:
    with pytest.raises(Rejected, match="must read http://ADDRESS:PORT"):
        address.asked(url, "KEY")


def test_a_box_is_a_cache_or_asks_one() -> None:
    with pytest.raises(Rejected, match="not both"):
        from_environment({}, site_cache_listen="10.0.0.5:8003", site_cache="http://10.0.0.6:8003/")
    assert from_environment({}, site_cache="http://10.0.0.6:8003/").site_cache_bytes == 4 << 30
