"""Key services over HTTP, as their clients know them: Vault's transit engine (OpenBao's is the same) and AWS KMS.

What they answer is written after their documentation: paths, statuses, and the shape of answers and refusals. Keys are
real, so that what they sign is proven like anything else.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Answer = tuple[int, Mapping[str, Any]]
RAW = (Encoding.Raw, PublicFormat.Raw)


class _Server:
    """`answer` of a subclass, on a port of this machine, while it is entered."""

    def __enter__(self) -> _Server:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._give(b"")

            def do_POST(self) -> None:
                self._give(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def _give(self, body: bytes) -> None:
                status, said = outer.answer(self.path, dict(self.headers), json.loads(body or b"{}"))
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        raise NotImplementedError


class SimVault(_Server):
    """Transit keys of type ed25519, by name; each has versions."""

    def __init__(self) -> None:
        self.token = "hvs.sim"
        self.keys: dict[str, list[Ed25519PrivateKey]] = {"release": [Ed25519PrivateKey.generate() for _ in range(2)]}

    @property
    def environment(self) -> dict[str, str]:
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.token}

    def answer(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        if headers.get("X-Vault-Token") != self.token:
            return 403, {"errors": ["permission denied"]}
        verb, _, name = path.removeprefix("/v1/transit/").partition("/")
        if name not in self.keys:
            return (404, {"errors": []}) if verb == "keys" else (400, {"errors": ["signing key not found"]})
        return (self._read if verb == "keys" else self._sign)(self.keys[name], name, body)

    def _read(self, keys: list[Ed25519PrivateKey], name: str, _body: Mapping[str, Any]) -> Answer:
        told = {
            str(number): {"name": "ed25519", "public_key": base64.b64encode(_raw(key)).decode()}
            for number, key in enumerate(keys, 1)
        }
        return 200, {"data": {"name": name, "type": "ed25519", "latest_version": len(keys), "keys": told}}

    def _sign(self, keys: list[Ed25519PrivateKey], _name: str, body: Mapping[str, Any]) -> Answer:
        number = int(body.get("key_version") or len(keys))
        if not 1 <= number <= len(keys):
            return 400, {"errors": ["cannot sign: version of key does not exist"]}
        made = keys[number - 1].sign(base64.b64decode(body["input"]))
        return 200, {"data": {"signature": f"vault:v{number}:{base64.b64encode(made).decode()}", "key_version": number}}


def _raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(*RAW)


class SimAwsKms(_Server):
    """Keys of type ECC_NIST_P256, by id. Its JSON protocol 1.1; signatures of requests are not looked at."""

    def __init__(self) -> None:
        self.keys = {"release": ec.generate_private_key(ec.SECP256R1())}

    @property
    def environment(self) -> dict[str, str]:
        known = {"AWS_ENDPOINT_URL_KMS": self.url, "AWS_DEFAULT_REGION": "eu-north-1", "AWS_MAX_ATTEMPTS": "1"}
        return known | {"AWS_ACCESS_KEY_ID": "sim", "AWS_SECRET_ACCESS_KEY": "sim", "AWS_EC2_METADATA_DISABLED": "true"}

    def answer(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        key = self.keys.get(body["KeyId"])
        if key is None:
            return 400, {"__type": "NotFoundException", "message": f"Key {body['KeyId']} does not exist"}
        about = {"KeyId": body["KeyId"], "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
        if headers["X-Amz-Target"] == "TrentService.GetPublicKey":
            half = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            told = {"PublicKey": base64.b64encode(half).decode(), "SigningAlgorithms": ["ECDSA_SHA_256"]}
            return 200, about | told
        if (body["MessageType"], body["SigningAlgorithm"]) != ("DIGEST", "ECDSA_SHA_256"):
            return 400, {"__type": "InvalidKeyUsageException", "message": "of another algorithm"}
        digest = base64.b64decode(body["Message"])
        made = key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256())))
        return 200, about | {"Signature": base64.b64encode(made).decode()}
