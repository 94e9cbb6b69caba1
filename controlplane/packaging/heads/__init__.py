"""One file per family of heads: how its outputs are recognised, and how they become candidates.

`read` raises Rejected, with the nearest thing that would work, where the outputs are not of its family; it writes
nothing. What it gives back holds a function that writes the nodes once everything else is decided.
"""
