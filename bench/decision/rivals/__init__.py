"""What the decision is measured against: each baseline drives the same events as the agent's lane, by its own rule.

A baseline is a discipline of waiting (`waiting`) and a rule of routing (`routing`, `linucb`, `tokens`) over the same
books (`books`); `named` has them by the names that the bench knows.
"""
