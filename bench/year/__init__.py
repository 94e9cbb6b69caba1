"""A year of telemetry by hour, made in the database, and a control plane that answers about it over HTTP."""
