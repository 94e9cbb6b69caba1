"""Requests that nobody waits for any more: `python -m bench.bench_deadlines [--quick] [--json FILE]`.

A real agent serves the sample model over REST and gRPC while `BUSY` callers keep its engine busy without a pause.
Beside them somebody asks with a `timeout` that must pass before his turn comes: held is that he hears so, at once (429)
or within 10 ms of his deadline (504), not when the engine has come to him. Then all callers send a request and leave:
held is that the next request is answered as if they had never come, but for the calls that had begun.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc.aio

from agent.trial.tally import percentile
from agent.types import ModelInput
from bench.dataplane import box as boxes
from bench.dataplane import releases
from bench.dataplane.box import Box
from bench.dataplane.callers import Callers, answer, question
from bench.dataplane.releases import MadeRelease, deployment, pixels_of
from bench.telling import Result, proven
from protos import inference_pb2 as pb
from protos.inference_pb2_grpc import GRPCInferenceServiceStub

LATE_MS = 10.0
BEGUN = 4.0  # times as long as alone: it waits for a call that had begun, and then has one core instead of two
BUSY, LEAVING = 16, 16
TIMEOUT = 0.02  # seconds
NAME = "harbour-watch"


@dataclass(frozen=True)
class Form:
    """How often each is tried."""

    probes: int = 300
    leavings: int = 50


QUICK = Form(probes=60, leavings=10)


@dataclass(frozen=True)
class Late:
    """Of answers to requests whose time had passed, or would have."""

    expired: int
    others: int  # that were answered in time, or with another error
    p50_ms: float
    p99_ms: float


async def over_rest(box: Box, release: MadeRelease, probes: int) -> Late:
    request = question(release.manifest.name, pixels_of(release), timeout=int(TIMEOUT * 1e6))
    reader, writer = await asyncio.open_connection("127.0.0.1", box.ports["http"])
    late: list[float] = []
    for _ in range(probes):
        began = time.monotonic()
        writer.write(request)
        status, _ = await answer(reader)
        if status in (429, 504):
            late.append(max(0.0, time.monotonic() - began - TIMEOUT))
    writer.close()
    return _late(late, probes)


async def over_grpc(box: Box, release: MadeRelease, probes: int) -> Late:
    request = _message(release.manifest.name, pixels_of(release))
    request.parameters["timeout"].int64_param = int(TIMEOUT * 1e6)
    late: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{box.ports['grpc']}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        for _ in range(probes):
            began = time.monotonic()
            try:
                await stub.ModelInfer(request)
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    late.append(max(0.0, time.monotonic() - began - TIMEOUT))
    return _late(late, probes)


def _message(model: str, pixels: ModelInput) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="image", datatype="UINT8", shape=[1, pixels.height, pixels.width, 3])
    request.raw_input_contents.append(bytes(pixels.nbytes))
    return request


def _late(late: Sequence[float], probes: int) -> Late:
    p50, p99 = (round(1e3 * percentile(late, share), 2) for share in (0.5, 0.99))
    return Late(len(late), probes - len(late), p50, p99)


async def after_leaving(box: Box, release: MadeRelease, times: int) -> tuple[float, float]:
    """Median milliseconds of a request alone, and of one behind callers who have left, in turns."""
    request = question(release.manifest.name, pixels_of(release))
    alone, behind = [], []
    for _ in range(times):
        alone.append(await _asked(box, request))
        writers = [(await asyncio.open_connection("127.0.0.1", box.ports["http"]))[1] for _ in range(LEAVING)]
        for writer in writers:
            writer.write(request)
        await asyncio.gather(*(writer.drain() for writer in writers))
        for writer in writers:
            writer.close()
        behind.append(await _asked(box, request))
        await asyncio.sleep(0.1)
    return round(1e3 * statistics.median(alone), 2), round(1e3 * statistics.median(behind), 2)


async def _asked(box: Box, request: bytes) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", box.ports["http"])
    began = time.monotonic()
    writer.write(request)
    await answer(reader)
    writer.close()
    return time.monotonic() - began


async def prove(folder: Path, form: Form) -> Result:
    """Everything that was measured, and what was missed."""
    release = releases.made("1.0.0")
    manifest = release.manifest
    async with boxes.running(folder) as box:
        box.offer(release)
        box.wish([], [deployment(NAME, release)])
        await box.settled({NAME: release.digest})
        callers = Callers(box.ports["http"], manifest.name, pixels_of(release), count=BUSY, period=0.001)
        async with callers.asking():
            await asyncio.sleep(0.5)
            rest = await over_rest(box, release, form.probes)
            late = {"REST": rest, "gRPC": await over_grpc(box, release, form.probes)}
        alone, behind = await after_leaving(box, release, form.leavings)
    return {
        **asdict(form),
        "timeout_ms": 1e3 * TIMEOUT,
        "busy_callers": BUSY,
        "busy_answers": len(callers.latencies),
        "late": {transport: asdict(of) for transport, of in late.items()},
        "leaving_callers": LEAVING,
        "alone_ms": alone,
        "behind_callers_who_left_ms": behind,
        "missed": missed(late, alone, behind),
    }


def missed(late: dict[str, Late], alone: float, behind: float) -> list[str]:
    """Pure."""
    found = [
        f"{transport}: an expired request is answered {of.p99_ms:.1f} ms late (p99), of {LATE_MS:g}"
        for transport, of in late.items()
        if of.p99_ms > LATE_MS
    ]
    found += [f"{transport}: {of.others} requests did not expire" for transport, of in late.items() if of.others]
    if behind > BEGUN * alone:
        found.append(f"behind callers who left a request takes {behind:.1f} ms, alone {alone:.1f}")
    return found


def table(result: Result) -> str:
    lines = [f"{'expired, answered late by':28} {'p50':>9} {'p99':>9}"]
    lines += [f"{name:28} {of['p50_ms']:6.2f} ms {of['p99_ms']:6.2f} ms" for name, of in result["late"].items()]
    lines.append(f"a request alone: {result['alone_ms']:.2f} ms")
    lines.append(f"behind {LEAVING} callers who left: {result['behind_callers_who_left_ms']:.2f} ms")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute at most")
    parser.add_argument("--json", type=Path, default=Path("bench/results/deadlines.json"))
    options = parser.parse_args()
    form = QUICK if options.quick else Form()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(proven(lambda: asyncio.run(prove(Path(folder), form)), table, options.json))


if __name__ == "__main__":
    main()
