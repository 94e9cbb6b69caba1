"""The parts of bench_ingest."""
