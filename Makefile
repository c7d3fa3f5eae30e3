# Daybook: `make run` starts everything, `make test` proves it. `make help` lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv --quiet pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
        --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
LOCK_ARGS ?=
# Processes that tests start read compiled modules, also where the environment says that none are written.
unexport PYTHONDONTWRITEBYTECODE
# A process that is done takes tests from the end of another's list, so that the slow folders do not end on one alone.
# One process more than there are processors, and four at most: tests also wait for servers.
JOBS ?= $(shell n=$$(( $$(nproc) + 1 )); echo $$(( n < 4 ? n : 4 )))
PYTEST_ARGS ?= -n $(JOBS) --dist worksteal
FAST := -m "not soak and not slow"
# Percent of the statements: what was measured (84.8), less what differs from one run to the next. The clients of Kafka
# are tried with a broker, which `make test-fast` leaves out.
LEAST_COVERAGE := 83
CLIENTS := tests/clients
CODE := domain eventstore projections api workers migrations tests bench

.DEFAULT_GOAL := help
.PHONY: help install lock run test test-unit test-fast coverage soak servers clients lint format types bench bench-full sql schema \
        reference clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make the environment in .venv, if it is missing or out of date

# Redone only when the dependencies change: the stamp is newer than both files otherwise.
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Daybook needs Python 3.11 or later, and $(PYTHON) is older or missing: set PYTHON=python3.11 or the like." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) \
	  || { echo "Python could not make a virtual environment: install its venv module (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The files have the hash of every file of a version, so they serve each platform and Python from 3.11 on. uv asks PyPI,
# or the index that UV_DEFAULT_INDEX names; no index is written down.
lock: $(INSTALLED) ## write the lock files after a change of pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	$(LOCK) $(LOCK_ARGS) --extra build --extra dev --extra parquet --extra tracing --output-file requirements.lock pyproject.toml
	$(LOCK) --extra build --extra tracing --constraint requirements.lock --output-file requirements-image.lock pyproject.toml
	$(LOCK) $(LOCK_ARGS) --group clients --output-file $(CLIENTS)/requirements.lock

run: $(INSTALLED) ## start Daybook with its embedded PostgreSQL, migrated, and say where to look
	@exec $(BIN)/daybook up

test-unit: $(INSTALLED) ## the tests without a database: seconds
	$(BIN)/pytest $(PYTEST_ARGS) $(FAST) tests/unit

test-fast: $(INSTALLED) servers ## what to run before a commit: all but processes, faults, tampering and sweeps; two minutes at most
	$(BIN)/pytest $(PYTEST_ARGS) $(FAST) tests/unit tests/integration

coverage: $(INSTALLED) servers ## how much of the code `make test-fast` runs; fails where it is less than it was
	$(BIN)/pytest $(PYTEST_ARGS) $(FAST) -k "not pg15" tests/unit tests/integration -q --cov --cov-report=term --cov-fail-under=$(LEAST_COVERAGE)

test: $(INSTALLED) servers clients ## run every test on real PostgreSQL servers (PYTEST_ARGS to choose)
	$(BIN)/pytest $(PYTEST_ARGS)

soak: $(INSTALLED) servers ## the long runs: faults, a stream of a million events
	$(BIN)/pytest -n 2 -m soak tests

servers: # what the tests need beside the embedded server: PostgreSQL 15, pgbouncer, hledger, ledger, Go
	@tests/support/install_servers.sh

clients: $(CLIENTS)/.venv/.installed # what the test of the generated clients needs, at the versions of its lock files
	@if ! command -v npm >/dev/null; then echo "Node is not installed: the test of the TypeScript client is left out."; \
	elif test ! $(CLIENTS)/node_modules/.package-lock.json -nt $(CLIENTS)/package-lock.json; then \
	npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --loglevel=error; fi

$(CLIENTS)/.venv/.installed: $(CLIENTS)/requirements.lock | $(INSTALLED)
	$(BIN)/uv --quiet venv --clear --python $(BIN)/python $(CLIENTS)/.venv
	$(BIN)/uv --quiet pip sync --python $(CLIENTS)/.venv --require-hashes $(CLIENTS)/requirements.lock
	@touch $@

lint: $(INSTALLED) ## check form: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED) ## repair form: ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED) ## check types: mypy, strict
	$(BIN)/mypy

bench: $(INSTALLED) ## measure what matters most, in less than ten minutes
	$(BIN)/python -m bench

bench-full: $(INSTALLED) ## measure everything, and write bench/results/latest.json and docs/performance.md
	$(BIN)/python -m bench --full

sql: $(INSTALLED) ## write the SQL of the read models anew from their declarations (projections/*/*.sql)
	$(BIN)/python -m projections.generated

schema: $(INSTALLED) ## write workers/verify/schema.txt anew from the migrations and the read models
	$(BIN)/python -m workers.verify.manifest

reference: $(INSTALLED) ## write the reference pages in docs/reference from the code
	$(BIN)/python -m workers.reference
	$(BIN)/typer workers.cli utils docs --name daybook --output docs/reference/cli.md

clean: ## remove caches and build products; data in var/ and the environment stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis build dist *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
