"""What holds for the whole fleet: how long telemetry is kept, and how much may lie on server and boxes."""
