"""The books of telemetry: what each box accepted, and where every record of it is.

`domain` (what the tables say) and `checking` (whether that is so) are pure; `repository` holds the SQL, `service` the
questions. Written by ingest, read here; nothing here changes a row.
"""
