"""Keys that lie elsewhere, by key URI: files, PKCS#11 tokens, Vault, and the key services of clouds.

    PATH | file2:PATH                            a file in PEM
    hsm:[ID][?label=TOKEN]                       a PKCS#11 token: PYKCS11LIB names its library
    hv:NAME[/VERSION]                            Vault's or OpenBao's transit engine: VAULT_ADDR, VAULT_TOKEN
    awskms:ID  gcpkms:NAME  azurekms://VAULT/keys/NAME/VERSION

`securesystemslib` speaks to them; what it needs for each is an extra of ours (pyproject.toml). A URI is tried against
the public keys that may sign; the one that it really signs for is its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qsl

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    SIGNER_FOR_URI_SCHEME,
    AWSSigner,
    AzureSigner,
    GCPSigner,
    HSMSigner,
    Key,
    Signature,
    Signer,
    VaultSigner,
)

from controlplane.signing.keys import read_key, read_public, told_by
from protos.errors import Rejected

__all__ = ["Signature", "Signer"]
Ask = Callable[[str], str]  # for a PIN or a passphrase, by what it is for
PACKAGES = {
    "hsm": "python-pkcs11",
    "hv": "hvac",
    "awskms": "boto3",
    "gcpkms": "google-cloud-kms",
    "azurekms": "azure-identity azure-keyvault-keys",
}
_FORMS = {
    "hsm": (r"hsm:\d*(\?label=.+)?", "hsm:2?label=TOKEN"),
    "hv": (r"hv:[^/]+(/\d+)?", "hv:NAME or hv:NAME/VERSION"),
    "awskms": (r"awskms:.+", "awskms:ID"),
    "gcpkms": (r"gcpkms:.+", "gcpkms:NAME"),
    "azurekms": (r"azurekms://[^/]+/keys/[^/]+(/.+)?", "azurekms://VAULT.vault.azure.net/keys/NAME/VERSION"),
}
_INSTEAD = "name another; of a private key, 'longshore keys public file2:FILE' prints it"
_PROBE = b"longshore: does this key answer to that name?"
_NEEDS = {"hsm": "PYKCS11LIB", "hv": "VAULT_ADDR and VAULT_TOKEN"}
_STRANGE = (
    "UnverifiedSignatureError",
    "KeyMismatchError",
    "UnsupportedKeyType",
    "UnsupportedAlgorithmError",
    "ValueError",
    "KeyError",
)
# They log what a caller is told anyway, with addresses of requests in it.
for _name in ("securesystemslib.signer._aws_signer", "securesystemslib.signer._gcp_signer"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def is_uri(name: str) -> bool:
    return ":" in name and name.partition(":")[0] in SIGNER_FOR_URI_SCHEME


def _check_form(scheme: str, name: str) -> None:
    """Raises Rejected."""
    form, example = _FORMS.get(scheme, (".*", ""))
    if not re.fullmatch(form, name):
        raise Rejected(f"{name!r} is no key URI of {scheme}:; write it like {example}")


def public(name: str, ask: Ask) -> Key:
    """The public half of what a PEM file or a key URI names. Raises Rejected."""
    scheme, _, rest = name.partition(":")
    if not is_uri(name):
        return read_public(Path(name), _INSTEAD)
    if scheme == "file2":
        return read_key(Path(rest)).public_key
    _check_form(scheme, name)
    try:
        return _imported(scheme, rest, ask)
    except Exception as error:
        raise _refused(scheme, error, f"{scheme}: tells no public key") from error


def _imported(scheme: str, rest: str, ask: Ask) -> Key:
    if scheme == "hsm":
        number, _, query = rest.partition("?")
        label = dict(parse_qsl(query)).get("label")
        return HSMSigner.import_(int(number) if number else None, label, ask)[1]
    if scheme == "hv":
        return VaultSigner.import_(rest.partition("/")[0])[1]
    if scheme == "awskms":
        return AWSSigner.import_(rest)[1]
    if scheme == "gcpkms":
        return GCPSigner.import_(rest)[1]
    if scheme == "azurekms":
        host, _, path = rest.lstrip("/").partition("/")
        return AzureSigner.import_(host.partition(".")[0], path.split("/")[1])[1]
    raise ValueError(f"give its public half as a file in PEM, since {scheme}: tells none")


def opened(name: str, trusted: Iterable[Key], ask: Ask) -> Signer:
    """The signer that a file name or a key URI means; a URI's must be one of `trusted`. Raises Rejected."""
    if not is_uri(name):
        return read_key(Path(name))
    scheme = name.partition(":")[0]
    _check_form(scheme, name)
    name = _with_version(name)
    reasons: list[Exception] = []
    for key in trusted:
        found = _tried(name, key, ask)
        if isinstance(found, Signer):
            return found
        reasons.append(found)
        if scheme == "hsm" and not _of_another_key(found):
            break  # a wrong PIN, said again for each key, would lock the token
    reasons.sort(key=_of_another_key)
    raise _refused(scheme, reasons[0] if reasons else None, f"{scheme}: gives no signature of a key that may sign this")


def _tried(name: str, key: Key, ask: Ask) -> Signer | Exception:
    try:
        signer = Signer.from_priv_key_uri(name, key, ask)
        key.verify_signature(signer.sign(_PROBE), _PROBE)
    except Exception as error:  # noqa: BLE001 - every kind of signer raises its own
        return error
    return signer


def _of_another_key(error: Exception) -> bool:
    """Whether that is what a signer says of a public key that is not its own."""
    return type(error).__name__ in _STRANGE


def _with_version(name: str) -> str:
    """The newest of a Vault key, where none is named."""
    if not name.startswith("hv:") or "/" in name:
        return name
    try:
        return VaultSigner.import_(name.removeprefix("hv:"))[0]
    except Exception as error:
        raise _refused("hv", error, "hv: gives no signature") from error


def _refused(scheme: str, error: Exception | None, what: str) -> Rejected:
    if isinstance(error, Rejected):
        return error  # nobody was there to say a PIN
    if isinstance(error, UnsupportedLibraryError):
        package = PACKAGES.get(scheme, "more")
        return Rejected(
            f"{scheme}: needs packages that are not installed here; beside longshore, pip install {package}"
        )
    if error is None:
        return Rejected(f"{what} (no key is trusted yet); see 'longshore keys'")
    if type(error).__name__ in ("PinIncorrect", "PinLenRange", "PinInvalid"):
        return Rejected(f"{what}: the PIN is wrong; it was said once, and the token counts")
    told = told_by(error)
    needed = f"; {scheme}: reads {_NEEDS[scheme]}" if scheme in _NEEDS else ""
    return Rejected(f"{what} ({told}){needed}; see 'longshore keys'")
