"""The fleet: nodes, cameras and deployments, what each box should run, and what it says it runs.

`domain` modules (selectors, quantities, sources, specs, objects, desired, status, envelope) decide and do no I/O;
`repository` holds all SQL; `service` is one transaction per use case; `routes` and `servicer` only convert.
"""
