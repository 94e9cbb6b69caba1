"""One body for every place where a key may lie: a file, a PKCS#11 token, Vault, AWS KMS.

The token is SoftHSM2's, a real PKCS#11 library; Vault and AWS KMS are simulators that their own clients speak to.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.adapters.tuf_metadata import TufMetadata
from agent.trust.errors import Absent
from agent.trust.metadata import Get
from controlplane.adapters import keys_elsewhere
from controlplane.signing import ceremony, held, keys, metadata, rotation
from controlplane.signing.documents import RELEASE
from controlplane.signing.keys import new_key, read_key, write_key
from controlplane.signing.rotation import Trusted, rotated
from protos import trust
from protos.errors import Rejected, Retryable
from protos.ids import DeploymentName
from tests.servers.require import unmet
from tests.servers.softhsm import PIN, Token, tokens  # noqa: F401 - a fixture
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.control_plane import SimControlPlane
from tests.sim.holders import signed_now
from tests.sim.key_services import SimAwsKms, SimVault

HARBOUR = releases.make("1.0.0", size=1000)


@dataclass(frozen=True)
class Place:
    uri: str
    nowhere: str  # a URI of the same kind, of a key that is not there
    ask: held.Ask = lambda _what: PIN


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        unmet(f"{package} is not installed; run scripts/bootstrap dev")


def _file(request: pytest.FixtureRequest) -> Iterator[Place]:
    folder: Path = request.getfixturevalue("tmp_path")
    write_key(folder / "release.key", new_key())
    yield Place(f"file2:{folder / 'release.key'}", f"file2:{folder / 'none.key'}")


def _token(request: pytest.FixtureRequest) -> Iterator[Place]:
    _needs("pkcs11")
    found: dict[str, Token] = request.getfixturevalue("tokens")
    _set(request, found["ann"].environment)
    yield Place(found["ann"].uri, "hsm:2?label=nobody")


def _vault(request: pytest.FixtureRequest) -> Iterator[Place]:
    _needs("hvac")
    with SimVault() as vault:
        assert isinstance(vault, SimVault)
        _set(request, vault.environment)
        yield Place("hv:release", "hv:nobody")


def _aws(request: pytest.FixtureRequest) -> Iterator[Place]:
    _needs("boto3")
    with SimAwsKms() as kms:
        assert isinstance(kms, SimAwsKms)
        _set(request, kms.environment)
        yield Place("awskms:release", "awskms:nobody")


def _set(request: pytest.FixtureRequest, environment: dict[str, str]) -> None:
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in environment.items():
        patch.setenv(name, value)


PLACES: dict[str, Callable[[pytest.FixtureRequest], Iterator[Place]]] = {
    "file": _file,
    "pkcs11": _token,
    "vault": _vault,
    "awskms": _aws,
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    yield from PLACES[request.param](request)


def test_the_public_half_it_tells_is_that_of_the_key_that_signs(place: Place) -> None:
    half = held.public(place.uri, place.ask)
    assert half.keyid == keys.fingerprint(half)
    signer = held.opened(place.uri, [new_key().public_key, half], place.ask)
    assert signer.public_key.keyid == half.keyid
    half.verify_signature(signer.sign(b"a document"), b"a document")


def test_its_public_half_as_a_file_is_the_same_key(place: Place, tmp_path: Path) -> None:
    half = held.public(place.uri, place.ask)
    (tmp_path / "half.pub").write_bytes(keys.pem(half))
    assert held.public(str(tmp_path / "half.pub"), place.ask).keyid == half.keyid


def test_a_key_that_may_not_sign_is_refused_in_one_sentence(place: Place) -> None:
    with pytest.raises(Rejected, match="gives no signature of a key that may sign this") as told:
        held.opened(place.uri, [new_key().public_key], place.ask)
    assert "\n" not in str(told.value)


def test_one_that_is_not_there_is_told_in_one_sentence(place: Place) -> None:
    half = held.public(place.uri, place.ask)
    for trying in (
        lambda: held.public(place.nowhere, place.ask),
        lambda: held.opened(place.nowhere, [half], place.ask),
    ):
        with pytest.raises(Rejected) as told:
            trying()
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("role", [trust.ROOT, RELEASE])
def test_a_role_moves_there_in_one_root_rotation_and_boxes_follow(place: Place, role: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    plane = SimControlPlane(tmp_path / "state", FakeClock(unix=time.time()))
    plane.push(HARBOUR)
    answer = plane.client.put("/api/v1/deployments/gate", json={"spec": {"model": "harbour", "version": "1.0.0"}})
    assert answer.status_code == 201
    box = TufMetadata(tmp_path / "box", _get(plane), time.time)
    first = plane.services.trust.root()
    assert _runs(box, first)
    folder = plane.config.keys_folder
    old = [read_key(folder / "offline" / f"{name}.key") for name in ("root", "targets")] + [
        read_key(folder / "release.key")
    ]
    half = held.public(place.uri, place.ask)
    signer = held.opened(place.uri, [half], place.ask)
    found = signed_now(plane)
    made = rotated(found, {role: Trusted((half,), 1)}, [*old, signer], int(time.time()), renew=True)
    rotation.check_whole(found, made)
    plane.services.trust.take(made)
    assert _runs(box, first)
    after = signed_now(plane)
    moved = trust.MODELS if role == RELEASE else role
    assert [each.keyid for each in after.keys(moved)] == [half.keyid]
    with pytest.raises(Rejected, match="bring the others"):
        rotation.check_whole(after, rotated(after, {}, old[:1], int(time.time()) + 1, renew=True))
    plane.close()


def test_online_roles_move_there_and_the_control_plane_goes_on_signing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    plane = SimControlPlane(tmp_path / "state", FakeClock(unix=time.time()), key_pin=PIN)
    plane.push(HARBOUR)
    folder, half = plane.config.keys_folder / "offline", held.public(place.uri, place.ask)
    offline = [read_key(folder / f"{name}.key") for name in ("root", "targets")]
    made = rotated(signed_now(plane), dict.fromkeys(trust.ONLINE, Trusted((half,), 1)), offline, int(time.time()))
    with pytest.raises(Rejected, match=r"holds too few keys for \w+ as these documents want it"):
        plane.services.trust.take(made)
    (plane.config.folder / "trust" / "online.uri").write_text(f"{place.uri}\n")
    plane.services.trust.take(made)
    first = (folder.parent / "root.json").read_bytes()
    answer = plane.client.put("/api/v1/deployments/gate", json={"spec": {"model": "harbour", "version": "1.0.0"}})
    assert answer.status_code == 201
    assert _runs(TufMetadata(tmp_path / "box", _get(plane), time.time), first)
    online = [each for each in plane.services.trust.roles() if each.document.role in trust.ONLINE]
    assert {(each.held, *each.document.signed_by) for each in online} == {(True, half.keyid)}
    plane.close()


def _get(plane: SimControlPlane) -> Get:
    def get(name: str, most: int) -> bytes:
        answer = plane.client.get(f"/api/v1/metadata/{name}")
        if answer.status_code != 200:
            raise Absent(name)
        assert len(answer.content) <= most
        return answer.content

    return get


def _runs(box: TufMetadata, first: bytes) -> bool:
    """Whether the agent finds its release both assigned and listed, by the newest root that the first leads to."""
    box.roots(first)
    box.refresh()
    found, _ = box.find(DeploymentName("gate"), shadow=False)
    return found.assignment is not None and found.listing is not None and found.listing.digest == HARBOUR.digest


# ---- what is special about each ----


def test_a_wrong_pin_is_said_to_the_token_once(tokens: dict[str, Token], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Most tokens lock themselves after three."""
    _needs("pkcs11")
    for name, value in tokens["ann"].environment.items():
        monkeypatch.setenv(name, value)
    half, asked = held.public(tokens["ann"].uri, lambda _what: PIN), list[str]()

    def wrong(what: str) -> str:
        asked.append(what)
        return "0000"

    with pytest.raises(Rejected, match="the PIN is wrong"):
        held.opened(tokens["ann"].uri, [half, half, half], wrong)
    assert len(asked) == 1


def test_a_vault_key_signs_with_the_version_that_was_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    _needs("hvac")
    with SimVault() as vault:
        assert isinstance(vault, SimVault)
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        newest = held.public("hv:release", lambda _what: "")
        held.opened("hv:release/2", [newest], lambda _what: "")
        with pytest.raises(Rejected, match="gives no signature"):
            held.opened("hv:release/1", [newest], lambda _what: "")


def test_while_a_key_service_is_away_changes_are_taken_and_signed_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _needs("hvac")
    monkeypatch.setattr(keys_elsewhere, "AWAY_SECONDS", 0.0)
    (tmp_path / "state").mkdir()
    plane = SimControlPlane(tmp_path / "state", FakeClock(unix=time.time()))
    plane.push(HARBOUR)
    with SimVault() as vault:
        assert isinstance(vault, SimVault)
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        half = held.public("hv:release", lambda _what: "")
        (plane.config.folder / "trust" / "online.uri").write_text("hv:release")
        offline = [read_key(plane.config.keys_folder / "offline" / f"{name}.key") for name in ("root", "targets")]
        made = rotated(signed_now(plane), dict.fromkeys(trust.ONLINE, Trusted((half,), 1)), offline, int(time.time()))
        plane.services.trust.take(made)
        vault.token = "sealed"
        answer = plane.client.put("/api/v1/deployments/gate", json={"spec": {"model": "harbour", "version": "1.0.0"}})
        assert answer.status_code == 201
        assert _assigned(plane) == []
        vault.token = "hvs.sim"
        plane.services.trust.keep_fresh()
        assert _assigned(plane) == ["assign/gate/release"]
    plane.close()


def _assigned(plane: SimControlPlane) -> list[str]:
    (found,) = [each.document for each in plane.services.trust.roles() if each.document.role == trust.ASSIGN]
    return [each.path for each in found.assignments]


def test_a_service_that_hangs_costs_no_more_than_the_bound() -> None:
    began = time.monotonic()
    with pytest.raises(Retryable, match=r"within 0\.05 s"):
        keys_elsewhere.within(0.05, lambda: threading.Event().wait(5))
    assert time.monotonic() - began < 4


def test_a_token_that_refused_is_asked_no_more_until_the_next_start(
    tokens: dict[str, Token],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _needs("pkcs11")
    for name, value in tokens["ann"].environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "online.uri").write_text(tokens["ann"].uri)
    now, tried = [0.0], list[str]()

    def refusing(name: str, *_: object) -> None:
        tried.append(name)
        raise Rejected("the PIN is wrong")

    monkeypatch.setattr(held, "opened", refusing)
    elsewhere = keys_elsewhere.KeysElsewhere(tmp_path, "0000", lambda: now[0])
    for _ in range(3):
        assert elsewhere.signers() == {}
        now[0] += 3600
    assert len(tried) == 1


def test_a_vault_that_does_not_let_us_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _needs("hvac")
    with SimVault() as vault:
        assert isinstance(vault, SimVault)
        for name, value in (vault.environment | {"VAULT_TOKEN": "another"}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Rejected, match=r"permission denied.*VAULT_ADDR and VAULT_TOKEN"):
            held.public("hv:release", lambda _what: "")


@pytest.mark.parametrize(("scheme", "package"), held.PACKAGES.items())
def test_a_key_whose_packages_are_missing_says_which(
    scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from securesystemslib.signer import _aws_signer, _azure_signer, _gcp_signer, _hsm_signer, _vault_signer

    errors = {
        "hsm": (_hsm_signer, "PKCS11_IMPORT_ERROR"),
        "hv": (_vault_signer, "VAULT_IMPORT_ERROR"),
        "awskms": (_aws_signer, "AWS_IMPORT_ERROR"),
        "gcpkms": (_gcp_signer, "GCP_IMPORT_ERROR"),
        "azurekms": (_azure_signer, "AZURE_IMPORT_ERROR"),
    }
    monkeypatch.setattr(*errors[scheme], "not there")
    name = {"hv": "hv:release/1", "azurekms": "azurekms://fleet.vault.azure.net/keys/release/1"}.get(
        scheme, f"{scheme}:2"
    )
    for trying in (
        lambda: held.public(name, lambda _what: PIN),
        lambda: held.opened(name, [_curve()], lambda _what: PIN),
    ):
        with pytest.raises(Rejected, match=f"pip install {package}"):
            trying()


def _curve() -> keys.Key:
    return keys.CryptoSigner.generate_ecdsa().public_key


def test_of_a_service_that_went_away_what_the_network_said_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _needs("hvac")
    with SimVault() as vault:
        assert isinstance(vault, SimVault)
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        signer = held.opened("hv:release", [held.public("hv:release", lambda _what: "")], lambda _what: "")
    with pytest.raises(Rejected, match=r"tells no public key \(Connection refused\); hv: reads VAULT_ADDR"):
        held.public("hv:release", lambda _what: "")
    root = metadata.signed(ceremony.root(1, dict.fromkeys(rotation.IN_ROOT, ([_curve()], 1)), int(time.time())), ())
    with pytest.raises(Rejected, match=r"a key did not sign \(Connection refused\); see that it is reachable"):
        metadata.signature(trust.ROOT, root, signer)


def test_a_failure_without_words_is_told_by_its_kind() -> None:
    class DeviceRemoved(Exception):
        pass

    assert keys.told_by(DeviceRemoved()) == "DeviceRemoved"
