"""Certificates of our own CA: what they say, for how long, and which requests get none."""

from __future__ import annotations

import base64
import hashlib
import ssl
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.adapters.x509 import MAX_CSR, LocalAuthority, new_ca
from controlplane.errors import Unauthenticated
from controlplane.identity.domain import fingerprint
from controlplane.trust.domain import BACKDATED_SECONDS, CONTROL_PLANE_USER, DAY, due_for_renewal, validity
from protos import ids
from protos.errors import Fatal, Rejected
from protos.ids import NodeId
from tests.sim import joining

NOW = 1_795_000_000.0
NODE = NodeId("quay-1")
AUTHORITY = LocalAuthority(*new_ca(NOW))
REQUEST = x509.load_pem_x509_csr(joining.new_request().encode()).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="module")
def authority() -> LocalAuthority:
    return LocalAuthority(*new_ca(NOW))


def device(authority: LocalAuthority, request: str | None = None) -> x509.Certificate:
    issued = authority.sign_device(request or joining.new_request("evil/#"), NODE, NOW, 7)
    return x509.load_pem_x509_certificate(issued.pem.encode())


def common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_the_pin_is_the_sha256_of_the_public_key(authority: LocalAuthority) -> None:
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    spki = ca.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert authority.ca_pin == hashlib.sha256(spki).hexdigest()


def test_the_server_names_the_box_whatever_its_request_says(authority: LocalAuthority) -> None:
    certificate = device(authority, joining.new_request("another-node"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert common_name(certificate) == "quay-1"
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://longshore/device/quay-1"]


def test_only_the_public_key_of_a_request_is_used(authority: LocalAuthority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = device(authority, joining.request_of(key))
    assert certificate.public_key() == key.public_key()
    assert common_name(certificate) == "quay-1"


def test_a_box_whose_clock_is_a_day_slow_takes_its_certificate_as_valid(authority: LocalAuthority) -> None:
    certificate = device(authority)
    slow = certificate.not_valid_before_utc + timedelta(days=1)
    assert certificate.not_valid_before_utc.timestamp() == NOW - BACKDATED_SECONDS
    assert slow.timestamp() <= NOW - DAY


def test_a_box_is_no_authority(authority: LocalAuthority) -> None:
    constraints = device(authority).extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = device(authority).extensions.get_extension_for_class(x509.KeyUsage).value
    assert not constraints.ca
    assert not usage.key_cert_sign


def test_the_fingerprint_is_what_a_presented_certificate_is_looked_up_by(authority: LocalAuthority) -> None:
    issued = authority.sign_device(joining.new_request(), NODE, NOW, 7)
    assert fingerprint(issued.pem.encode()) == issued.fingerprint


@pytest.mark.parametrize(
    ("request_pem", "why"),
    [
        ("", "cannot be read"),
        ("not a request", "cannot be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
        ("x" * (MAX_CSR + 1), "larger than"),
        (joining.request_of(rsa.generate_private_key(65537, 2048)), "P-256"),
        (joining.request_of(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (joining.tampered_request(), "not signed by its own key"),
    ],
)
def test_a_bad_request_gets_one_sentence_and_no_certificate(
    authority: LocalAuthority, request_pem: str, why: str
) -> None:
    with pytest.raises(Rejected, match=why):
        authority.sign_device(request_pem, NODE, NOW, 7)


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 10_000) | st.none())
def test_no_damage_to_a_request_is_more_than_a_refusal(at: int, byte: int, cut: int | None) -> None:
    whole = bytearray(REQUEST)
    whole[at % len(whole)] = byte
    body = base64.encodebytes(bytes(whole[:cut])).decode()
    request = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    with suppress(Rejected):
        AUTHORITY.sign_device(request, NODE, NOW, 7)


def test_a_proof_is_of_the_certificate_that_is_looked_up(authority: LocalAuthority) -> None:
    key, request = joining.new_key(), joining.new_request()
    issued = authority.sign_device(joining.request_of(key), NODE, NOW, 7)
    other = authority.sign_device(joining.new_request(), NODE, NOW, 7)
    proof = joining.proof(key, request)
    assert authority.proven(issued.pem, request, proof) == issued.fingerprint
    assert authority.proven(issued.pem + other.pem, request, proof) == issued.fingerprint
    for certificate, sent, shown in (
        (other.pem, request, proof),
        (issued.pem, joining.new_request(), proof),
        (issued.pem, request, b""),
        (issued.pem, request, proof[:-1] + b"x"),
        ("nonsense", request, proof),
    ):
        with pytest.raises(Unauthenticated):
            authority.proven(certificate, sent, shown)
    with pytest.raises(Rejected, match="P-256"):
        authority.proven(issued.pem, joining.request_of(ec.generate_private_key(ec.SECP384R1())), proof)


def test_a_certificate_says_which_key_it_is_for(authority: LocalAuthority) -> None:
    request = joining.new_request()
    first, again, other = (
        authority.sign_device(each, NODE, NOW, 7) for each in (request, request, joining.new_request())
    )
    assert (first.public_key == again.public_key, first.public_key == other.public_key) == (True, False)


def test_a_server_certificate_is_good_for_every_name_it_was_asked_for(authority: LocalAuthority) -> None:
    pair = authority.issue_server(("localhost", "127.0.0.1", "::1", "fleet.example"), NOW, 30)
    certificate = x509.load_pem_x509_certificate(pair.certificate_pem.encode())
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    moment = ca.not_valid_before_utc + timedelta(days=3)
    verifier = PolicyBuilder().store(Store([ca])).time(moment)
    for name in ("localhost", "fleet.example"):
        assert verifier.build_server_verifier(x509.DNSName(name)).verify(certificate, [])


@pytest.mark.parametrize("name", ["localhost", "fleet.example", "quay-1", "quay-2.node.longshore.internal"])
def test_a_box_can_pass_for_no_other_host(authority: LocalAuthority, name: str) -> None:
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    verifier = PolicyBuilder().store(Store([ca])).time(ca.not_valid_before_utc + timedelta(days=3))
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_server_verifier(x509.DNSName(name)).verify(device(authority), [])


def test_a_cloud_node_answers_as_a_server_under_its_own_name(authority: LocalAuthority) -> None:
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    verifier = PolicyBuilder().store(Store([ca])).time(ca.not_valid_before_utc + timedelta(days=3))
    host = x509.DNSName(ids.node_host(NODE))
    assert verifier.build_server_verifier(host).verify(device(authority), [])


def test_the_control_plane_s_own_name_at_the_broker_is_no_node_id() -> None:
    with pytest.raises(Rejected):
        ids.node_id(CONTROL_PLANE_USER)


def test_openssl_takes_the_ca_and_a_pair_of_it(authority: LocalAuthority, tmp_path: object) -> None:
    context = ssl.create_default_context(cadata=authority.ca_pem)
    assert context.cert_store_stats()["x509_ca"] == 1


def test_key_and_certificate_of_two_cas_do_not_make_one() -> None:
    certificate, _ = new_ca(NOW)
    _, other_key = new_ca(NOW)
    with pytest.raises(Fatal, match="does not belong"):
        LocalAuthority(certificate, other_key)


def test_damaged_ca_files_are_named_as_such() -> None:
    with pytest.raises(Fatal, match="damaged"):
        LocalAuthority("-----BEGIN CERTIFICATE-----", "nonsense")


def test_private_keys_never_show_in_a_repr(authority: LocalAuthority) -> None:
    pair = authority.issue_client(CONTROL_PLANE_USER, NOW, 7)
    assert "PRIVATE" not in repr(pair)
    assert "PRIVATE" in pair.key_pem


@pytest.mark.parametrize(("age_days", "due"), [(0, False), (3.4, False), (3.6, True), (9, True)])
def test_renewal_is_due_from_half_of_the_life_on(age_days: float, *, due: bool) -> None:
    assert due_for_renewal(NOW, NOW + 7 * DAY, NOW + age_days * DAY) is due


def test_validity_counts_from_the_moment_of_issue() -> None:
    assert validity(NOW, 7).not_after == NOW + 7 * DAY
