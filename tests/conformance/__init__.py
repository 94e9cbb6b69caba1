"""The agent's own update path, driven by suites of others."""
