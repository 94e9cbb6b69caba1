"""Audit: who changed what. Written once, at the edge, and only read afterwards."""
