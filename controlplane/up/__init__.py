"""`longshore up`: a control plane with its broker on one machine, with `--demo` a whole fleet, as one process tree.

Agents are started as processes and joined over the public API, like a box in the field; nothing of theirs is imported.

- Everything dies with `up`, even by kill -9; a child that dies is started again within a budget.
- One `up` per state folder; started again it goes on with what is there.
- Nothing listens beyond loopback unless asked with --listen, and then only with TLS.
"""

from controlplane.up.options import UpOptions

__all__ = ["UpOptions", "run"]


def run(options: UpOptions) -> None:
    """Run the tree until Ctrl-C. Raises Fatal with the reason when it cannot run or go on."""
    from controlplane.up.tree import run_tree  # deferred: the embedded broker's process needs none of it

    run_tree(options)
