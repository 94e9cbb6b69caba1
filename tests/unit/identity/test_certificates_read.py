"""What a box reads of certificates: one at a time, and a sentence for whatever is none."""

from __future__ import annotations

import base64
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.x509 import X509Keys
from protos.errors import Rejected
from tests.sim.authority import SimAuthority

AUTHORITY = SimAuthority(now=time.time())
DER = base64.b64decode("".join(AUTHORITY.pem.decode().splitlines()[1:-1]))
EC_KEY = bytes.fromhex("06072a8648ce3d0201")  # the object identifier of elliptic-curve keys


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_the_one_certificate_is_written_anew() -> None:
    assert X509Keys().only(b"a comment\n" + AUTHORITY.pem + b"another\n") == AUTHORITY.pem


@pytest.mark.parametrize("content", [b"", b"nonsense", AUTHORITY.pem * 2, pem(DER[:-7]), pem(b"")])
def test_none_and_two_are_refused(content: bytes) -> None:
    for read in (X509Keys().only, X509Keys().facts):
        with pytest.raises(Rejected):
            read(content)


def test_a_key_of_an_unknown_kind_is_refused() -> None:
    assert EC_KEY in DER
    with pytest.raises(Rejected, match="no PEM certificate"):
        X509Keys().facts(pem(DER.replace(EC_KEY, EC_KEY[:-1] + b"\x63")))


@pytest.mark.filterwarnings("ignore")  # of `cryptography`, at what it takes all the same
@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, len(DER) - 1), byte=st.integers(0, 255))
def test_no_damage_to_a_certificate_is_more_than_a_refusal(at: int, byte: int) -> None:
    damaged = pem(DER[:at] + bytes([byte]) + DER[at + 1 :])
    with suppress(Rejected):
        X509Keys().facts(damaged)
        X509Keys().signed_by(damaged, AUTHORITY.pem)
        X509Keys().signed_by(AUTHORITY.pem, damaged)


@pytest.mark.parametrize("key", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_read_is_one_sentence(key: bytes) -> None:
    keys = X509Keys()
    with pytest.raises(Rejected, match="this box's key is not readable"):
        keys.public_key(key)
    with pytest.raises(Rejected, match="this box's key is not readable"):
        keys.prove(key, keys.request(keys.new_key(), "quay-1"))
