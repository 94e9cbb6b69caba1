"""What the box tells: records into a durable outbox, over MQTT, deleted on the control plane's word; and its metrics.

`records` (values ↔ protobuf), `books` and `outbox` (what is kept, dropped and declared), `window` (what is sent again
when), `counts` and `sampling` decide and do no I/O. `sender`, `reporter` and `nodestats` act.
"""
