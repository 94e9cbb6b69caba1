"""What the box tells: records into a durable outbox, over MQTT, deleted on the control plane's word; and its metrics.

`classes`, `records` and `payload` (values ↔ protobuf ↔ what goes over the line), `caps`, `books` and `outbox` (what is
kept, dropped and declared), `window` (what is sent again when), `backfill` (how fast what waited), `told` (what of the
books), `silence` (when nobody answers), `counts` and `sampling` decide and do no I/O. `sender`, `reporter` and
`nodestats` act.
"""
