"""What a worker gives up at its start, before it reads anything that others made: Landlock, seccomp, limits.

`profiles` says what each kind of worker keeps, `entry.enter` gives up the rest and tries each layer, `report` is what
the agent hears of it. A worker whose kernel lacks a layer works on, and the fleet's view says so.
"""
