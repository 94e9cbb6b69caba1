"""The database's history: one file per change in `versions`, applied in order by `migrate`.

Written by `python -m controlplane.migrations new "what changes"`; a test compares the result with `tables`.
"""
