"""An engine and a camera where the kernel lacks LAYERS: `python -m tests.unit.sandbox.on_an_old_kernel LAYER…`.

A filter of our own answers as such a kernel would. Prints what the agent would report, one problem a line.
"""

from __future__ import annotations

import asyncio
import errno
import sys

from agent.inference.engine import OnnxEngine
from agent.types import Geometry
from agent.workers.sandboxes import Sandboxes
from sandbox import bpf, kernel
from sandbox.profiles import ALLOW
from sandbox.syscalls import number
from tests.sim.models import detector
from tests.sim.yard import Yard, plan, tap

CALLS = {"landlock": "landlock_create_ruleset", "seccomp": "seccomp"}


def forget(layers: list[str]) -> None:
    """This process and all it starts do not have them."""
    machine = kernel.machine()
    assert machine is not None
    program: list[bpf.Instruction] = [(bpf.LOAD, 0, 0, 0)]
    for layer in layers:
        call = number(CALLS[layer], machine)
        assert call is not None
        program += [(bpf.EQUAL, 0, 1, call), (bpf.RETURN, 0, 0, 0x50000 | errno.ENOSYS)]
    kernel.set_no_new_privileges()
    kernel.install(bpf.packed([*program, (bpf.RETURN, 0, 0, ALLOW)]))


async def work() -> list[str]:
    """Frames of a camera and boxes of a picture, and what was said of the sandboxes meanwhile."""
    sandboxes, yard, spec = Sandboxes(), Yard(), detector().spec
    assert spec.input is not None
    engine = OnnxEngine("test", on_confined=sandboxes.told)
    await engine.start(spec)
    await yard.apply(plan("quay"), taps={tap("quay"): spec.input})
    yard.holding.add(tap("quay"))
    (frame,) = await yard.frames(tap("quay"), 1)
    fd, slots = yard.captures.slots_fd(tap("quay"))
    await engine.attach(tap("quay"), fd, slots, spec.input)
    await engine.detect_slot(tap("quay"), frame.slot, Geometry(64, 32, 1.0, 1.0, 0, 0), 0.0)
    for word in yard.confined:
        sandboxes.told(word)
    await yard.captures.close()
    await engine.close()
    return [problem.message for problem in sandboxes.problems()]


if __name__ == "__main__":
    forget(sys.argv[1:])
    print("\n".join(asyncio.run(work())))
