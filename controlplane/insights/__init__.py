"""What telemetry says: detections, outcomes, rates, latency, what boxes cost. Reads only.

`domain` is pure, `repository` holds the SQL, `service` answers questions, `routes` convert.
"""
