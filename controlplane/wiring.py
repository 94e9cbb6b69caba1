"""Adapters chosen and services made, once, from the configuration; the only place that knows which stands where.

Everything here blocks and happens before the first request: folders, the CA, the database brought to this version, the
administrator's token.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.adapters.authority_files import load_or_create
from controlplane.adapters.blob_fs import FolderBlobStore
from controlplane.adapters.broker_link import NO_BROKER, broker_link
from controlplane.adapters.clock import SystemClock
from controlplane.adapters.executor_local import LocalExecutor
from controlplane.adapters.executor_memory import MemoryExecutor
from controlplane.adapters.notary import FolderNotary
from controlplane.adapters.notifier_memory import MemoryNotifier
from controlplane.adapters.onnx_inspector import OnnxInspector
from controlplane.adapters.recipes_folder import FolderRecipes
from controlplane.adapters.telemetry_memory import MemoryTelemetryIn
from controlplane.adapters.training_environment import TrainingEnvironment
from controlplane.adapters.trust_files import first_documents
from controlplane.audit.service import AuditService
from controlplane.books.service import BooksService
from controlplane.config import Config
from controlplane.container import Services
from controlplane.db import Database
from controlplane.files import PRIVATE, private_bytes, private_folder, write_atomically
from controlplane.fleet import generations
from controlplane.fleet.boxes import BoxService
from controlplane.fleet.looking import Looking
from controlplane.fleet.service import FleetService
from controlplane.gate.allowed import operators_in
from controlplane.gate.runner import Gate
from controlplane.history.service import HistoryService
from controlplane.identity.service import IdentityService, new_api_token
from controlplane.ingest.service import IngestService
from controlplane.insights.service import InsightsService
from controlplane.insights.totals import Totals
from controlplane.metrics import new_registry
from controlplane.migrations.migrate import migrate
from controlplane.people.service import PeopleService
from controlplane.ports import BlobStore, Clock, Notifier, TelemetryIn
from controlplane.registry.chunked import ChunkTables
from controlplane.registry.contents import ReleaseContents
from controlplane.registry.grants import Grants
from controlplane.registry.ports import Inspector
from controlplane.registry.service import RegistryService
from controlplane.rollups.service import RollupService
from controlplane.settings.service import SettingsService
from controlplane.training.driver import RunDriver
from controlplane.training.ports import Executor
from controlplane.training.publishing import Publishing
from controlplane.training.service import TrainingService
from controlplane.trust.ports import Authority, Notary
from controlplane.trust.proposals import ProposalService
from controlplane.trust.service import TrustService

log = logging.getLogger(__name__)
ADMIN_TOKEN = "admin.token"  # noqa: S105 - a file name


@dataclass(frozen=True)
class Adapters:
    """One for each port."""

    clock: Clock
    database: Database
    authority: Authority
    blobs: BlobStore
    notifier: Notifier
    inspector: Inspector
    grants: Grants
    notary: Notary
    telemetry: TelemetryIn = field(default_factory=MemoryTelemetryIn)
    executor: Executor = field(default_factory=MemoryExecutor)


def build(config: Config) -> Services:
    """Raises Fatal, Retryable."""
    folder = private_folder(config.folder)
    clock = SystemClock()
    database = Database(config.database)
    migrate(database)
    authority = load_or_create(folder / "ca", clock.unix())
    broker = broker_link(config, authority, folder / "ca", clock)
    adapters = Adapters(
        clock=clock,
        database=database,
        authority=authority,
        blobs=FolderBlobStore(folder / "blobs"),
        notifier=broker or MemoryNotifier(),
        telemetry=broker or MemoryTelemetryIn(NO_BROKER),
        inspector=OnnxInspector(Gate(operators_in(config.allowed_operators))),
        grants=Grants(private_bytes(folder / "grant.key")),
        notary=FolderNotary(folder / "trust", config.key_pin),
        executor=_executor(config),
    )
    services = assemble(config, adapters)
    services.settings.ensure()
    _begin_trust(services)
    _ensure_admin(services.identity, folder / ADMIN_TOKEN)
    return services


def assemble(config: Config, adapters: Adapters) -> Services:
    """Services over adapters; tests bring their own."""
    database, clock, notifier = adapters.database, adapters.clock, adapters.notifier
    looking, totals = Looking(), Totals()
    settings = generations.settings(config)
    trust = TrustService(database, adapters.notary, clock)
    boxes = BoxService(database, clock, notifier, adapters.grants, settings, trust.version)
    registry = RegistryService(database, adapters.blobs, adapters.inspector, clock, config)

    def settings_changed() -> None:
        trust.keep_fresh()
        boxes.refresh()

    training = (database, clock, adapters.executor, FolderRecipes(config.recipes), config.runs_at_once)
    return Services(
        config=config,
        clock=clock,
        database=database,
        authority=adapters.authority,
        blobs=adapters.blobs,
        notifier=notifier,
        telemetry=adapters.telemetry,
        metrics=new_registry(),
        grants=adapters.grants,
        identity=IdentityService(database, adapters.authority, clock, config),
        people=PeopleService(database, clock),
        audit=AuditService(database, clock),
        registry=registry,
        contents=ReleaseContents(adapters.blobs, adapters.inspector),
        chunks=ChunkTables(adapters.blobs),
        fleet=FleetService(database, clock, notifier, looking, settings, trust.publish),
        boxes=boxes,
        looking=looking,
        ingest=IngestService(database, clock, totals.add),
        insights=InsightsService(database, clock),
        history=HistoryService(database, clock),
        totals=totals,
        rollups=RollupService(database, clock),
        books=BooksService(database, clock),
        settings=SettingsService(database, clock, settings_changed),
        training=TrainingService(*training),
        runs=RunDriver(*training),
        publishing=Publishing(adapters.executor, registry),
        trust=trust,
        proposals=ProposalService(database, trust, clock),
    )


def _begin_trust(services: Services) -> None:
    """The first start makes keys and first documents, or takes those that were made beforehand."""
    config, now = services.config, int(services.clock.unix())
    if services.trust.begin(lambda: first_documents(config.folder / "trust", config.keys_folder, now)):
        log.info("signed metadata begins here; carry %s away", config.keys_folder / "offline")
    elif services.database.shared and not config.without_online_keys:
        services.trust.check_shared()
    services.trust.keep_fresh()


def _executor(config: Config) -> LocalExecutor:
    python = Path(config.train_python) if config.train_python else None
    return LocalExecutor(config.state / "runs", TrainingEnvironment(python=python), os.environ)


def _ensure_admin(identity: IdentityService, path: Path) -> None:
    """The first token lies in a file: whoever may read this folder runs this fleet. For one that was deleted the file
    gets another.
    """
    if path.exists() and identity.ensure_api_token("admin", path.read_text().strip()):
        return
    write_atomically(path, new_api_token().encode() + b"\n", PRIVATE)
    identity.ensure_api_token("admin", path.read_text().strip())
