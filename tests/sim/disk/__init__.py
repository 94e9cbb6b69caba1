"""A disk under a real process: its file operations written down, failed on purpose, and cut off at each of them.

`shim.c` sits between the process and libc; `shim` builds it and talks to it; `log` reads what it wrote; `images` says
what the disk may hold after the power went at each entry.
"""
