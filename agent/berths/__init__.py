"""The agent's own update: a release of the agent goes into one of two berths beside the one that runs.

A berth is a Python environment of its own in the state directory. `choice` says which one starts, and is all that the
launcher knows; `machine` and `progress` decide; `update` acts.
"""
