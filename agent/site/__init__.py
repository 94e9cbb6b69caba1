"""The cache of a site: a box that hands out release files on its local network, and those that ask it first.

What a box serves: address, holdings, kept, pulls, ranges, room, server. What a box makes of the one it asks: first,
standing, waiting. Nothing that comes from a cache is believed; nothing secret is sent to one, or kept by one.
"""
