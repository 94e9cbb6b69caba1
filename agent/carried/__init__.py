"""A box without a network: what was carried here is proven, taken up by the running agent, and answered by a file.

Nothing that is carried is trusted more than what a network brings: signed metadata and files prove themselves, and what
the box is told is signed by the CA that it also knows its control plane by.
"""
