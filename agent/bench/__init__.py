"""`longshore-agent bench`: what this machine can do with a release, what the agent reaches of it, how many cameras fit.

Each way of asking is measured against raw ONNX Runtime in the same round, so that other work on the machine meets both,
and medians over the rounds are told. What is measured is decided and told in pure modules (`capacity`, `figures`,
`text`, `plot`); `raw`, `asking`, `films` and `machine` do it. No fleet, no identity, no network.
"""
