"""A server that is asked for more than it can do, with and without its door."""
