"""Simulators that behave: what a test talks to instead of a mock. Nothing here is imported by the product."""
