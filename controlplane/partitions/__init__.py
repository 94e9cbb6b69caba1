"""Telemetry on PostgreSQL in parts by time, made ahead of their time and dropped whole: what is old goes at no cost.

`domain` says which parts there should be, and is pure; `repository` makes and drops them. On SQLite, and for what comes
too late for its part, rows are deleted a few at a time by whoever stores them.
"""
