"""What exists once per control-plane process, handed around as one frozen value.

Built by `wiring.build`, kept on `app.state.services`, given to the gRPC servicer and the MQTT ingest. Services are made
of ports and the database only; nothing looks anything up globally. Routes get it with `Depends(current)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from prometheus_client import CollectorRegistry

from controlplane.audit.service import AuditService
from controlplane.books.service import BooksService
from controlplane.config import Config
from controlplane.db import Database
from controlplane.fleet.boxes import BoxService
from controlplane.fleet.looking import Looking
from controlplane.fleet.service import FleetService
from controlplane.history.service import HistoryService
from controlplane.identity.service import IdentityService
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from controlplane.insights.totals import Totals
from controlplane.people.service import PeopleService
from controlplane.ports import BlobStore, Clock, Notifier, TelemetryIn
from controlplane.registry.chunked import ChunkTables
from controlplane.registry.contents import ReleaseContents
from controlplane.registry.grants import Grants
from controlplane.registry.service import RegistryService
from controlplane.rollups.service import RollupService
from controlplane.settings.service import SettingsService
from controlplane.training.driver import RunDriver
from controlplane.training.publishing import Publishing
from controlplane.training.service import TrainingService
from controlplane.trust.ports import Authority
from controlplane.trust.proposals import ProposalService
from controlplane.trust.service import TrustService


@dataclass(frozen=True)
class Services:
    """Everything a route, servicer or loop may need."""

    config: Config
    clock: Clock
    database: Database
    authority: Authority
    blobs: BlobStore
    notifier: Notifier
    telemetry: TelemetryIn
    metrics: CollectorRegistry
    grants: Grants
    identity: IdentityService
    people: PeopleService
    audit: AuditService
    registry: RegistryService
    contents: ReleaseContents
    chunks: ChunkTables
    fleet: FleetService
    boxes: BoxService
    looking: Looking
    ingest: IngestService
    insights: InsightsService
    history: HistoryService
    totals: Totals
    rollups: RollupService
    books: BooksService
    settings: SettingsService
    training: TrainingService
    runs: RunDriver
    publishing: Publishing
    trust: TrustService
    proposals: ProposalService


def current(request: Request) -> Services:
    """Dependency of routes."""
    services: Services = request.app.state.services
    return services
