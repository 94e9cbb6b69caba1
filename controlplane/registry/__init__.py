"""Releases: uploaded file by file, content-addressed, immutable; and the grants by which boxes fetch the files."""
