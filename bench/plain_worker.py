"""An engine worker that gives up nothing, to measure the sandbox against: started by bench_sandbox alone."""

from __future__ import annotations

from agent.inference import confinement, worker
from agent.inference.messages import Load
from sandbox.report import Confined


def _nothing(load: Load, model_bytes: int) -> Confined:
    del model_bytes
    if load.input is not None:
        from agent.inference import pictures  # noqa: F401 - what the real one loads, too

    return Confined("none", ())


if __name__ == "__main__":
    confinement.confine = _nothing
    worker.main()
