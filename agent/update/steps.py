"""What each state of the update does, through ports; what follows from it is decided in `progress`.

A step may be repeated: each looks at what is there first. It ends by returning, by Retryable, Rejected or Fatal, or by
being cancelled; a disk operation that was begun is waited for, so that no thread touches files behind the next step.
Only what proved to be damaged is thrown away: a disk that fails to read says nothing about the bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from agent.errors import Damaged, DiskFull, OverQuota
from agent.ports import BlobSource
from agent.site.standing import Standing
from agent.supervise import in_thread
from agent.trust.agreement import Approval
from agent.trust.kept import Approvals
from agent.update import sizes
from agent.update import verify as proof
from agent.update.serving import Serving
from agent.update.staging import Staging
from agent.update.store import ReleaseStore
from agent.update.trust import Trust
from agent.update.variants import decided, lighter, tried
from agent.update.verify import VerifiedBytes, VerifiedRelease
from protos import manifest as manifests
from protos.errors import LongshoreError, Rejected
from protos.ids import DeploymentName, Digest, digest_of
from protos.manifest import FULL, FileEntry, Manifest, Variant

SPARE_BYTES = 8 << 20  # left free beside a release, for the databases of the box

Report = Callable[[int, int], None]  # bytes there, bytes wanted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """What an update touches.

    `trust`: what may run; `approvals`: what it approved. `quota`: bytes of disk that releases may take, 0: all of it.
    `fetching`: a file that two releases share is fetched by one of them at a time. `provider`: what runs models here;
    `variants`: which variant of a release it took last; `left_out`: the sizes of one that do not run here, and why;
    `free_memory`: bytes of it that can be had now; `measured`: what those of a release cost here; `doubts`, `site`: see
    `staging`.
    """

    source: BlobSource
    releases: ReleaseStore
    serving: Serving
    trust: Trust
    approvals: Approvals
    quota: Callable[[], int] = lambda: 0
    fetching: defaultdict[Digest, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    provider: str = "cpu"
    variants: dict[Digest, str] = field(default_factory=dict)
    left_out: dict[Digest, dict[str, str]] = field(default_factory=dict)
    free_memory: Callable[[], int] = lambda: 1 << 62
    measured: MutableMapping[Digest, Mapping[str, float]] = field(default_factory=dict)
    doubts: Counter[Digest] = field(default_factory=Counter)
    site: Standing = field(default_factory=Standing)


async def approve(ports: Ports, deployment: DeploymentName, digest: Digest, *, shadow: bool = False) -> Approval:
    """Leave to run it here, from signed metadata, and kept. Raises what Trust.approved does."""
    approval = await ports.trust.approved(deployment, digest, shadow=shadow)
    ports.approvals[digest] = approval
    return approval


async def pull(ports: Ports, approval: Approval, report: Report) -> None:
    """Manifest first, then every file it names, each from where it stopped. No byte is trusted yet."""
    async with ports.fetching[approval.digest]:
        described = await _manifest(ports, approval)
    entries = _distinct(described)
    total = sum(entry.size for entry in entries)
    _check_space(ports, described, entries)

    def came() -> None:
        report(_bytes_there(ports.releases, entries), total)

    staging = Staging(ports.source, ports.releases, ports.doubts, came, ports.site)
    for entry in entries:
        async with ports.fetching[entry.digest]:
            if not ports.releases.has(entry.digest):
                await staging.stage(entry, described.name)
    report(total, total)


async def verify(ports: Ports, approval: Approval) -> VerifiedRelease:
    """Hash everything on disk, and keep it. What is damaged is thrown away before Damaged is raised."""
    return await in_thread(_verify, ports.releases, approval)


async def warm(ports: Ports, deployment: DeploymentName, release: VerifiedRelease) -> None:
    """A candidate beside what answers, in each size that runs here. Raises Unfit."""
    left_out = await _load_sizes(ports, deployment, release, partial(_load_fastest, ports, deployment, release))
    unfit = await ports.serving.judge(deployment, release.digest)
    _note(ports, release, left_out | unfit)


async def _load_fastest(ports: Ports, deployment: DeploymentName, release: VerifiedRelease) -> None:
    """The full size, in the variant that is fastest here; measured, if it never was."""
    variants, loaded = release.manifest.variants, ""
    if release.digest not in ports.measured and len(tried(variants, ports.provider)) > 1:
        loaded = await _measure(ports, deployment, release)
    variant = decided(variants, ports.provider, ports.measured.get(release.digest, {}))
    if loaded != variant.name:
        if loaded:
            await ports.serving.abandon(deployment, release.digest)
        await _load(ports, deployment, release, variant)
    if len(variants) > 1:
        log.info("%s %s: its variant %s runs here", release.manifest.name, release.manifest.version, variant.name)


async def _load_sizes(
    ports: Ports, deployment: DeploymentName, release: VerifiedRelease, full: Callable[[], Awaitable[None]]
) -> dict[str, str]:
    """The full size by `full`, then the lighter ones, which are for cameras' frames. See `sizes.loaded`."""

    async def beside(variant: Variant) -> None:
        sizes.check_memory(ports.free_memory(), release.manifest.file(variant.file).size)
        await _load(ports, deployment, release, variant)

    found = lighter(release.manifest.variants, ports.provider) if release.manifest.task == "detection" else []
    return await sizes.loaded({FULL: full, **{each.size: partial(beside, each) for each in found}})


def _note(ports: Ports, release: VerifiedRelease, left_out: dict[str, str]) -> None:
    """What is told of a release that is loaded: the variant of its largest size, and which of them do not run here."""
    ports.left_out[release.digest] = left_out
    if left_out:
        log.warning("%s %s: %s", release.manifest.name, release.manifest.version, sizes.sentence(left_out))
    if FULL in left_out:
        run = (each for each in lighter(release.manifest.variants, ports.provider) if each.size not in left_out)
        ports.variants[release.digest] = next(run).name


async def swap(ports: Ports, deployment: DeploymentName, digest: Digest) -> None:
    await ports.serving.swap(deployment, digest)


async def confirm(ports: Ports, deployment: DeploymentName, digest: Digest, seconds: float) -> bool:
    return await ports.serving.confirm(deployment, digest, seconds)


async def roll_back(ports: Ports, deployment: DeploymentName, digest: Digest) -> None:
    await ports.serving.abandon(deployment, digest)


async def restore(ports: Ports, deployment: DeploymentName, digest: Digest) -> None:
    """Bring a confirmed release back from disk, without any network. Raises what `verify`, `warm` and `swap` raise."""
    release = await verify(ports, await approval_of(ports, deployment, digest))
    known = ports.measured.get(digest, {})  # nothing answers: this is no time to measure

    async def full() -> None:
        await _load(ports, deployment, release, decided(release.manifest.variants, ports.provider, known))

    _note(ports, release, await _load_sizes(ports, deployment, release, full))
    await swap(ports, deployment, digest)


async def approval_of(ports: Ports, deployment: DeploymentName, digest: Digest) -> Approval:
    """As it was kept when this release was approved; asked for anew only where that was lost."""
    return ports.approvals.get(digest) or await approve(ports, deployment, digest)


async def _measure(ports: Ports, deployment: DeploymentName, release: VerifiedRelease) -> str:
    """Load one variant after the other and note what each costs; the one that is loaded now, the proposed.

    Another that does not load here is passed over; what is not noted is measured again next time.
    """
    seconds: dict[str, float] = {}
    *others, proposed = tried(release.manifest.variants, ports.provider)
    for variant in others:
        try:
            seconds[variant.name] = await _load(ports, deployment, release, variant)
            await ports.serving.abandon(deployment, release.digest)
        except Rejected as error:
            log.warning("%s: its variant %s does not run here: %s", release.manifest.name, variant.name, error)
    seconds[proposed.name] = await _load(ports, deployment, release, proposed)
    log.info(
        "%s: %s", release.manifest.name, ", ".join(f"{name} {1e3 * took:.2f} ms" for name, took in seconds.items())
    )
    try:
        ports.measured[release.digest] = seconds
    except LongshoreError as error:
        log.warning("what variants cost is not kept: %s", error)
    return proposed.name


async def _load(ports: Ports, deployment: DeploymentName, release: VerifiedRelease, variant: Variant) -> float:
    """As the candidate; seconds of one inference."""
    entry = release.manifest.file(variant.file)
    model = await in_thread(proven, ports.releases, entry)
    seconds = await ports.serving.warm(deployment, release, variant, model)
    if not variant.size:
        ports.variants[release.digest] = variant.name
    return seconds


def sweep(releases: ReleaseStore, wanted: Iterable[Digest]) -> None:
    """Delete what no release in `wanted` needs; nothing at all while one of them cannot be read."""
    keep: set[Digest] = set()
    for digest in wanted:
        keep.add(digest)
        if releases.has(digest):
            try:
                described = proof.manifest(releases.read(digest), digest)
            except Damaged:
                return
            keep.update(entry.digest for entry in described.files)
    releases.sweep(keep)


def forget(ports: Ports, wanted: Collection[Digest]) -> None:
    """What variants cost, which sizes were left out, and approvals, of releases that are not wanted any more. Raises
    what the store does.
    """
    for known in (ports.measured, ports.left_out, ports.approvals):
        for digest in list(known):
            if digest not in wanted:
                del known[digest]


async def _manifest(ports: Ports, approval: Approval) -> Manifest:
    """The proven manifest, kept on disk from now on. Fetched twice at most: wrong bytes may be an accident once."""
    digest = approval.digest
    if ports.releases.has(digest):
        try:
            return proof.listed(ports.releases.read(digest), approval)
        except Damaged:
            ports.releases.discard([digest])
    content = await _small(ports.source, digest)
    if digest_of(content) != digest:
        content = await _small(ports.source, digest)
    described = proof.listed(content, approval)
    await in_thread(_keep_whole, ports.releases, digest, content)
    return described


def _keep_whole(releases: ReleaseStore, digest: Digest, content: bytes) -> None:
    releases.discard([digest])
    releases.append(digest, content)
    releases.complete(digest)
    releases.keep(digest)


async def _small(source: BlobSource, digest: Digest) -> bytes:
    content = b""
    async with aclosing(source.fetch(digest, 0)) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > manifests.MAX_BYTES:
                break  # it cannot be the manifest; its hash will tell
    return content


def proven(releases: ReleaseStore, entry: FileEntry) -> VerifiedBytes:
    """The file's content from disk. What is damaged is thrown away before Damaged is raised."""
    try:
        return proof.content_of(entry, releases.read(entry.digest))
    except Damaged:
        releases.discard([entry.digest])
        raise


def _verify(releases: ReleaseStore, approval: Approval) -> VerifiedRelease:
    try:
        content = releases.read(approval.digest)
        entries = proof.manifest(content, approval.digest, kept=True).files
        measured = {entry.path: releases.facts(entry.digest) for entry in entries}
        facts = {path: known for path, known in measured.items() if known is not None}
        kept = {entry.path for entry in entries if releases.has(entry.digest)}
        release = proof.verify(content, approval, facts, kept)
    except Damaged as damaged:
        releases.discard(Digest(wrong) for wrong in damaged.digests)
        raise
    for entry in entries:
        releases.keep(entry.digest)
    return release


def _check_space(ports: Ports, described: Manifest, entries: list[FileEntry]) -> None:
    """What answers, and the one before, keep their place whatever comes."""
    missing = sum(entry.size for entry in entries) - _bytes_there(ports.releases, entries)
    quota, used = ports.quota(), ports.releases.used_bytes()
    if quota and missing and used + missing > quota:
        raise OverQuota(
            f"{described.name} {described.version} needs {_mebibytes(missing)} more and releases take "
            f"{_mebibytes(used)} of the {_mebibytes(quota)} they may on this box; raise boxes.releases.quota in the "
            "fleet's settings, or let this box run less"
        )
    free = ports.releases.free_bytes()
    if missing + SPARE_BYTES > free:
        raise DiskFull(
            f"{described.name} {described.version} needs {_mebibytes(missing + SPARE_BYTES)} more and the disk has "
            f"{_mebibytes(free)}; free some space and it goes on by itself"
        )


def _bytes_there(releases: ReleaseStore, entries: list[FileEntry]) -> int:
    return sum(
        entry.size if releases.has(entry.digest) else min(entry.size, releases.staged(entry.digest))
        for entry in entries
    )


def _distinct(described: Manifest) -> list[FileEntry]:
    return list({entry.digest: entry for entry in described.files}.values())


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
