"""Telemetry over any span of time: charts of a year, questions by metric and step, and all of it as a file.

`domain` (metrics, what a question may ask) and `exporting` (columns of a file) are pure; `repository` reads records,
minutes and hours; `service` chooses among them.
"""
