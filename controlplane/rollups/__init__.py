"""Telemetry in coarser steps: how frames ended, and what boxes spend, by minute and by hour.

`domain` (sums, levels, which level answers what) is pure; `repository` holds the SQL; `service` moves what was stored
into the steps, each record exactly once, and forgets what is older than the settings keep it.
"""
