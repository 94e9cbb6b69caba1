"""The gate that every model of a stranger passes: by rules, then by running once, each in a process of its own.

    bytes ─► static (process): parsed as protobuf only ─► Facts ─► `judging` ─► `soundness` ─► `agreement`
    bytes ─► trial (process):  loaded and run once under limits ─► peak memory and time

`longshore package` runs it and writes its figures into the manifest; the control plane runs it again at a push, and
counts only what it saw itself. What is refused, why, and how it is tested: docs/untrusted-models.md.
"""
