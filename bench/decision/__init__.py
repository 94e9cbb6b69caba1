"""The edge–cloud decision in virtual time: the agent's own lane, its rivals, and the optimum that knows the future.

`scenarios` says what happens, `arrivals`, `links` and `world` draw it from a seed, `drive` plays it to any `contender`,
`meter` counts what came of it. `ourselves` is the agent's lane as a contender, `rivals` are others. `optimum` is the
bound, `study` asks all of them over many seeds. Nothing here sleeps, and nothing but the measured decision time depends
on the machine.
"""
