"""Real servers for tests, one fixture module each, on free loopback ports and as an unprivileged user.

A server that is not installed skips its tests, with the Debian package to install in the reason. `make test` installs
them and sets LONGSHORE_TESTS_STRICT=1: then a missing one is a failure, so that a green run has run everything.
"""
