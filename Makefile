# Every target does its own set-up; nothing but Python >= 3.11 and make is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-real up check test test-slow crash format lock clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# uv is a wheel; it installs the locked packages, by hash, in seconds.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Huanshu needs Python 3.11 or newer (make PYTHON=/path/to/python3 …)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@grep -A99 -E '^uv==' requirements.lock | awk 'NR>1 && /^[a-z]/{exit} !/^ *#/' > $(VENV)/uv.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $(VENV)/uv.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP) ## Install everything into .venv

demo: $(STAMP) ## The whole loop on a fictional district, through Airflow
	@$(BIN)/huanshu demo

demo-real: $(STAMP) ## The loop on real files that nobody here wrote (skips where they are absent)
	@$(BIN)/python -m tests.acceptance.real_files

up: $(STAMP) ## Embedded PostgreSQL, keeper and Airflow until Ctrl-C
	@$(BIN)/huanshu up --sandbox

check: $(STAMP) ## Formatting, lint, types, layers, and the home itself
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/huanshu check

test: $(STAMP) ## The tests
	$(BIN)/pytest -q -m "not slow"

test-slow: $(STAMP) ## The long campaigns
	$(BIN)/pytest -q -m slow

crash: $(STAMP) ## kill -9 everywhere, many times
	$(BIN)/pytest -q -m "slow or not slow" tests/faults

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --extra airflow --extra dev -o requirements.lock pyproject.toml

clean: ## Remove what the targets made
	rm -rf $(VENV) .huanshu .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
