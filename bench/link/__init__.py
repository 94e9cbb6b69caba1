"""Releases over a link: the control plane's files behind a wire that counts, and may be cut and slow."""
