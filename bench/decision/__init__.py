"""The edge–cloud decision in virtual time: the agent's own lane, its rivals, and the optimum that knows the future.

The simulator is the agent's (agent.simulation). `scenarios` are the worlds that are asked here, `rivals` other
contenders. `optimum` is the bound, `study` asks all of them over many seeds, `tuning` judges a tuner of slow gains.
"""
