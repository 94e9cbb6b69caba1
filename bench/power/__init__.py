"""Telemetry survives its disk: `guests` cuts the power of whole machines, `bench.bench_power` does the rest."""
