"""`longshore-agent try`: what a release sees, shown on this machine, by the code that runs on a box.

Pictures come from the sources of `cameras`, are fitted by its letterbox into shared memory, seen by the engine worker
of `inference` under the graph contract, and drawn by what draws live pictures. No fleet, no identity, no network but
the source's own. Whatever was written when it ends, also by Ctrl-C, can be opened and played.
"""
