"""Two people who each hold one key: what they propose and sign, over the API of a simulated control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from controlplane.signing import metadata, rotation
from controlplane.signing.chain import Chain, proven
from controlplane.signing.documents import RELEASE
from controlplane.signing.keys import CryptoSigner, new_key, read_key
from controlplane.signing.listing import listed
from controlplane.signing.rotation import Trusted, rotated
from controlplane.trust.repository import TrustRepository
from protos import trust
from protos.ids import ModelName, Version
from protos.trust import Listing
from tests.sim.control_plane import SimControlPlane
from tests.sim.releases import MadeRelease

Documents = dict[str, bytes]


def signed_now(plane: SimControlPlane) -> Chain:
    """Offline and release documents, proven."""
    with plane.database.read() as session:
        contents = TrustRepository(session).newest()
    below = {role: content for role, content in contents.items() if role not in (trust.ROOT, *trust.ONLINE)}
    return proven(contents[trust.ROOT], below)


class Holders:
    """Ann has the keys of the first start, Bo one of his own; Cy has nothing to do with it."""

    def __init__(self, plane: SimControlPlane) -> None:
        folder = plane.config.keys_folder
        self.plane = plane
        self.root = read_key(folder / "offline" / "root.key")
        self.targets = read_key(folder / "offline" / "targets.key")
        self.release = read_key(folder / "release.key")
        self.bo, self.cy = new_key(), new_key()

    @property
    def now(self) -> int:
        return int(self.plane.clock.unix())

    def with_bo(self, role: str, *signers: CryptoSigner, threshold: int = 2) -> Documents:
        """Documents that add Bo's key to `role`, signed by those."""
        found = signed_now(self.plane)
        before = rotation.trusted(found, trust.MODELS if role == RELEASE else role)
        wanted = {role: Trusted((*before.keys, self.bo.public_key), threshold)}
        return rotated(found, wanted, signers, self.now)

    def listing(self, made: MadeRelease, version: str, *signers: CryptoSigner, **terms: Any) -> Documents:
        about = (ModelName("harbour"), Version(version), made.digest, len(made.manifest), 1, "detection")
        return listed(signed_now(self.plane), [Listing(*about, **terms)], (), signers, self.now)

    def two_release_keys(self) -> None:
        """Ann's and Bo's must sign from now on."""
        made = self.with_bo(RELEASE, self.targets, self.release, self.bo)
        self.plane.services.trust.take(made)

    def propose(self, made: Mapping[str, bytes]) -> httpx.Response:
        body = {"documents": {role: content.decode() for role, content in made.items()}}
        return self.plane.client.post("/api/v1/proposals", json=body)

    def proposed(self, made: Mapping[str, bytes]) -> dict[str, Any]:
        answer = self.propose(made)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def sign(self, proposal: Mapping[str, Any], signer: CryptoSigner, *roles: str) -> httpx.Response:
        """All its documents, or those of `roles`."""
        signed = {
            role: {signer.public_key.keyid: metadata.signature(role, text.encode(), signer)}
            for role, text in proposal["documents"].items()
            if not roles or role in roles
        }
        return self.plane.client.post(f"/api/v1/proposals/{proposal['id']}/sign", json={"signatures": signed})

    def versions(self) -> dict[str, int]:
        return {each.document.role: each.document.version for each in self.plane.services.trust.roles()}
