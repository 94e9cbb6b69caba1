"""Signed metadata on a running box: its fetching, its files and its floors, put together. Nothing is decided here."""

from __future__ import annotations

import platform
import ssl
from collections.abc import Callable
from pathlib import Path

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
from agent.trust.metadata import MetadataSource
from agent.trust.service import Around, FirstRoot, SignedTrust
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
    return put_together(config.state_dir / "trust", source, floors, places, clock, own_kind(config), changed)


def own_kind(config: AgentConfig) -> Kind:
    """What this box is, as far as listings ask."""
    return Kind(device_classes(platform.machine(), config.provider), VERSION)


def put_together(
    folder: Path,
    source: MetadataSource,
    floors: KeptFloors,
    first_root: FirstRoot,
    clock: Clock,
    kind: Kind,
    changed: Callable[[], None] = lambda: None,
) -> SignedTrust:
    """Metadata of `source` in `folder`, proven for a box of that `kind`. `changed`: see agent.trust.service.Around."""
    fetching = Fetching(source)
    metadata = TufMetadata(folder, fetching, clock.unix)
    return SignedTrust(Around(metadata, source, fetching, floors, first_root, clock, changed), kind)
