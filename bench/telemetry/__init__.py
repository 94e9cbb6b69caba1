"""Telemetry through kills and dark days: who is on the `stage`, and what `history` may be found after."""
