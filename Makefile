# One command per verb; CI calls only `check` and `test` (.ci/run).
.PHONY: help demo test check lock protos screenshots soak nightly mutants bench clean

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: ## a whole fleet on this machine: broker, control plane, cloud node, two boxes, three cameras
	@scripts/bootstrap demo && exec setpriv --pdeathsig TERM .venv/bin/longshore up --demo $(UP)

test: ## all tests, with everything they need (Debian packages as root, else told)
	@scripts/test $(ARGS)

check: ## ruff, mypy, import laws, drift of generated code and of the exported sample model
	@scripts/check

lock: ## make requirements/*.lock again from pyproject.toml (needs uv)
	@scripts/lock

protos: ## regenerate the code of protos/*.proto
	@scripts/bootstrap dev && scripts/generate.sh

screenshots: ## every page, on laptop and phone, light and dark, empty, healthy and broken, into build/screens (needs chromium)
	@scripts/bootstrap dev && .venv/bin/python -m tests.sim.screenshots build/screens $(PAGES)

soak: ## the bad days in all six orders, 60 s each, sixty kills of the telemetry path, flapping cameras (about forty minutes)
	@LONGSHORE_SOAK=1 scripts/test tests/e2e/test_bad_days.py tests/crash/test_telemetry_kills.py tests/crash/test_flapping_cameras.py $(ARGS)

nightly: ## power cuts of a whole machine, a QEMU guest with the real outbox (QEMU as root, else told; about ten minutes)
	@scripts/nightly $(ARGS)

mutants: ## each guarantee taken away in turn, in a copy: its tests must turn red (about half an hour)
	@scripts/bootstrap dev && .venv/bin/python -m tests.mutants --json bench/results/mutants.json $(ARGS)

bench: ## benchmarks, each against its limit
	@scripts/bootstrap dev && missed=0; for each in bench/bench_*.py; do echo "== $$each"; .venv/bin/python -m "bench.$$(basename $$each .py)" || missed=1; done; exit $$missed

clean: ## remove the environments and the demo's state
	@rm -rf .venv .venv-agent .venv-train .venv-triton .longshore
