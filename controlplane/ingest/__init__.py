"""Telemetry of the boxes into the database, each record exactly once, acknowledged after the commit.

`wire` (bytes → rows, every value checked) and `domain` are pure; `repository` holds the SQL, `service` is one
transaction, `loop` is the thread between broker and database.
"""
