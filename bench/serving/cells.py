"""What a run of the benchmark tells: values without I/O, made by `rounds`, read by `figures` and `table`."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "Longshore"
HTTP, GRPC, REGION = f"{OURS}, HTTP binary", f"{OURS}, gRPC", f"{OURS}, shared memory"  # lines that goals are held for


@dataclass(frozen=True)
class Measured:
    """One line under one pressure in one round; seconds."""

    rate: float  # answers per second
    p50: float
    p99: float


@dataclass(frozen=True)
class Limit:
    """Raw ONNX Runtime right before a cell."""

    workload: str
    in_flight: int
    rate: float  # answers per second, a thread per core
    alone: float  # seconds of a call over all cores; 0 where it was not asked for


@dataclass(frozen=True)
class Cell:
    """`measured` is None where it could not be, for that reason."""

    line: str
    limit: Limit
    measured: Measured | None
    reason: str = ""

    @property
    def key(self) -> tuple[str, int, str]:
        return (self.limit.workload, self.limit.in_flight, self.line)


@dataclass
class Standing:
    """A server that was measured, or the reason why not. `version`: what people read beside its name."""

    name: str
    version: str
    ready_seconds: float = 0.0  # from its start to right answers of all models
    idle_cores: float = 0.0
    memory_mb: float = 0.0  # proportional, of all its processes, after the last round
    reason: str = ""
