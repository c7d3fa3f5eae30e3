# Daybook: `make run` starts everything, `make test` proves it. `make help` lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST_ARGS ?= -n auto --maxprocesses 4
CODE := domain eventstore projections api workers migrations tests bench

.DEFAULT_GOAL := help
.PHONY: help install run test soak servers lint format types bench bench-full schema reference clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make the environment in .venv, if it is missing or out of date

# Redone only when the dependencies change: the stamp is newer than both files otherwise.
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Daybook needs Python 3.11 or later, and $(PYTHON) is older or missing: set PYTHON=python3.11 or the like." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) \
	  || { echo "Python could not make a virtual environment: install its venv module (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@

run: $(INSTALLED) ## start Daybook with its embedded PostgreSQL, migrated, and say where to look
	@exec $(BIN)/daybook up

test: $(INSTALLED) servers ## run every test on real PostgreSQL servers (PYTEST_ARGS to choose)
	$(BIN)/pytest $(PYTEST_ARGS)

soak: $(INSTALLED) servers ## the long runs: faults, a stream of a million events
	$(BIN)/pytest -n 2 -m soak tests

servers: # what the tests need beside the embedded server: PostgreSQL 15, pgbouncer
	@tests/support/install_servers.sh

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

schema: $(INSTALLED) ## write workers/verify/schema.txt anew from the migrations and the read models
	$(BIN)/python -m workers.verify.manifest

reference: $(INSTALLED) ## write docs/reference/cli.md anew from the commands
	$(BIN)/typer workers.cli utils docs --name daybook --output docs/reference/cli.md

clean: ## remove caches and build products; data in var/ and the environment stay
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis build dist *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
