"""What looks like a secret does not get out: not in a text, and not in a document under any name."""

from __future__ import annotations

import json

import pytest

from protos.secrets import masked, redacted

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIOpenSesame\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("open rtsp://admin:hun@ter2@10.0.0.7/main", "ter2"),
        ("rtsp://10.0.0.7/user=admin_password=hunter2_channel=1.sdp", "hunter2"),
        ("started with --token=hunter2hunter2", "hunter2"),
        ("LS1." + "a" * 64 + ".abcdefgh." + "S" * 43, "SSSS"),
        ("token lsk_aB3_dEfGh-1234567890", "aB3_dEfGh"),
        ("Authorization: Bearer eyJhbGciOi.J9x/y+z==", "eyJhbGciOi"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        (f"found {PEM} there", "OpenSesame"),
        (PEM[:60], "OpenSe"),  # cut off
        ("http://127.0.0.1:8080/signin?code=LvCqA3S8xyz", "LvCqA3S8"),
    ],
)
def test_a_secret_in_a_text_is_masked_and_the_rest_stays(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8002/metrics", "(code=exited, status=203/EXEC)", "sha256:416fa6259049", "a key moment"]
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "name", ["password", "token", "apiKey", "private_key", "keyPem", "Authorization", "brokerPassword"]
)
def test_nothing_gets_out_under_the_name_of_a_secret(name: str) -> None:
    assert "hunter2" not in json.dumps(redacted({"a": [{name: "hunter2"}]}))


def test_a_document_keeps_its_shape() -> None:
    document = {"name": "gate", "rate": 5.0, "on": True, "none": None, "list": [1, "x"], "tokens": 3, "monkey": "ape"}
    assert redacted(document) == document
