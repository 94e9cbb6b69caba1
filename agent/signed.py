"""Signed metadata on a running box: its fetching, its files and its floors, put together. Nothing is decided here."""

from __future__ import annotations

import platform
import ssl
from collections.abc import Callable

from agent.adapters.carried_folder import CarriedFolder
from agent.adapters.metadata_https import HttpsMetadata
from agent.adapters.trust_files import TrustFiles
from agent.adapters.tuf_metadata import TufMetadata
from agent.adapters.x509 import X509Keys
from agent.carried.nearest import NearestMetadata
from agent.config import AgentConfig
from agent.identity.store import Identity
from agent.ports import Clock, Grant, StateStore
from agent.trust.agreement import Kind, device_classes
from agent.trust.fetching import Fetching
from agent.trust.kept import KeptFloors
from agent.trust.service import Around, SignedTrust
from agent.version import VERSION


def signed_trust(
    config: AgentConfig,
    identity: Identity,
    state: StateStore,
    clock: Clock,
    grant: Callable[[], Grant | None],
    tls: Callable[[], ssl.SSLContext],
    changed: Callable[[], None],
    answers: Callable[[], bool],
) -> SignedTrust:
    """Made on the loop. `changed`: newer metadata was proven; `answers`: the control plane does, and is asked.

    Raises Retryable, Fatal: the disk.
    """
    places = TrustFiles(config.state_dir / "identity")
    floors = KeptFloors(state, places, X509Keys().facts(identity.ca).public_key)
    source = NearestMetadata(HttpsMetadata(grant, tls), CarriedFolder(config.state_dir), answers, lambda: floors.now)
    fetching = Fetching(source)
    metadata = TufMetadata(config.state_dir / "trust", fetching, clock.unix)
    around = Around(metadata, source, fetching, floors, places, clock, changed)
    return SignedTrust(around, Kind(device_classes(platform.machine(), config.provider), VERSION))
