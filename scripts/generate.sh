#!/usr/bin/env bash
# Regenerate the code of protos/*.proto in place: `scripts/generate.sh`, or `--check` to fail on drift (CI).
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
out=.
if [[ "${1:-}" == "--check" ]]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
PATH="$PWD/.venv/bin:$PATH" $python -m grpc_tools.protoc -I . --python_out="$out" --grpc_python_out="$out" \
  --mypy_out=quiet:"$out" --mypy_grpc_out=quiet:"$out" protos/fleet.proto protos/telemetry.proto protos/inference.proto
if [[ "$out" != "." ]]; then
  for made in "$out"/protos/*; do
    cmp "$made" "protos/$(basename "$made")" || { echo "protos: generated code has drifted; run scripts/generate.sh and commit" >&2; exit 1; }
  done
  echo "protos: generated code is current"
fi
