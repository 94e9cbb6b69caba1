"""`longshore backup` and `longshore restore`: a control plane's state as one file, taken while it serves.

Rules that hold here:

- It runs on the control plane's machine and reads its files, as `longshore up` does. The API does not give it away: a
  backup holds the authority's key, and a token that could fetch it would be worth as much as that key.
- First the database as of one moment, then what lies by content: a file that nobody names yet is harmless, one that the
  database names and that is missing makes the backup fail.
- Restoring proves every digest before it touches anything, goes into an empty place only, and appears there whole.
"""
