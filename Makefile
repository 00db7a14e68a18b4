# Everything goes through two commands: `make demo` and `make test`. Both prepare the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
# tests run side by side, and threads that spin while they wait would starve each other
export OMP_WAIT_POLICY := passive
.PHONY: help setup demo test test-fast check bench lock clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## prepare .venv with the `churn` command in it

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make setup PYTHON=python3.12" % sys.version_info[:2]) if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## play a quarter of a business, the last weeks live through Prefect (ARGS="--yes --keep")
	@$(BIN)/churn demo $(ARGS)

test: setup  ## all tests, from nothing
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-fast: setup  ## the tests that need no server, in seconds
	$(BIN)/python -m pytest tests/unit tests/contract -m "not server and not real_data" -n 2 --dist loadfile $(ARGS)

check: setup  ## lint, format, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: setup  ## speed as ratios within one run, with the machine's facts
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock:  ## recompile requirements*.txt from pyproject.toml (hashes, no addresses)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra dev -o requirements.txt pyproject.toml requirements-build.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -o requirements-worker.txt pyproject.toml requirements-build.in

clean:  ## remove the environment and what the demo wrote; your own data/ stays
	rm -rf $(VENV) data/demo build *.egg-info
