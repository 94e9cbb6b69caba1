"""The control connection as the agent lives it: when to sync, what is kept of the answer. See agent.ports.FleetLink."""
