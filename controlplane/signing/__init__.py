"""Signed metadata made and read, by whoever holds a key: the command line its release and offline keys, the control
plane its online key. Bytes in, bytes out; nothing here knows of a network or a database.
"""
