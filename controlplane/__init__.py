"""The control plane: the one place that knows what every box should run, and stores what the boxes tell.

Reading order: `main` (the process) → `container` (what exists once) → one folder per noun. Inside a folder `domain` is
pure, `repository` holds all SQL, `service` is one transaction per use case, `routes` and `servicer` only convert.
Vendor libraries stay in `adapters`. Nothing here imports `agent` or `models`.
"""
