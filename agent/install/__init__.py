"""The agent as a service of the box: a hardened systemd unit, a user of its own, and the way back. `unit` is pure."""
