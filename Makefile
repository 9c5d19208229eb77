# Every target does its own set-up; nothing but Python >= 3.11 (with venv) and make is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
STAMP  := $(VENV)/.installed
INTO   := VIRTUAL_ENV="$(CURDIR)/$(VENV)"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: bench-access bench-counting differential faults bench-delivery bench-log bench-sealing full-scale help setup demo demo-real up check test test-slow crash format lock clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# uv is a wheel like any other: its own lines of the lock install it, by hash. A half-made .venv is removed.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Huanshu needs Python 3.11 or newer: make PYTHON=python3.12 …'; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo 'This Python has no venv: install it (Debian: python3-venv), or name another Python: make PYTHON=…'; exit 1; }
	@test -x $(BIN)/pip || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@awk '/^[^ ]/ {ours = /^uv==/} ours' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/pip --disable-pip-version-check install --quiet --require-hashes -r $(VENV)/uv.lock

# uv is fast but reads no pip.conf: where only pip knows the way to the packages, pip installs the same lock.
# Compiled once here, or each of a demo's thirty processes would compile Airflow and pandas for itself.
$(STAMP): requirements.lock pyproject.toml | $(UV)
	@echo 'Installing the locked packages into $(VENV), by hash …'
	@$(INTO) $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements.lock \
	  || $(BIN)/pip --disable-pip-version-check install --quiet --require-hashes -r requirements.lock
	@$(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

setup: $(STAMP) ## Install everything into .venv

demo: $(STAMP) ## The whole loop on a fictional district, through Airflow
	@$(BIN)/huanshu demo

demo-real: $(STAMP) ## The loop on real files that nobody here wrote (skips where they are absent)
	@$(BIN)/python examples/real/run.py

up: $(STAMP) ## Embedded PostgreSQL, keeper and Airflow until Ctrl-C
	@$(BIN)/huanshu up --sandbox

check: $(STAMP) ## Formatting, lint, types, layers, and the home itself
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/huanshu check

test: $(STAMP) ## The tests, three files at a time; of the drills the shorter ones
	$(BIN)/pytest -q -m "not slow" -n 3 --dist loadfile --durations=20

drills: $(STAMP) ## Every drill of the home with its three arms
	$(BIN)/pytest -q -m "slow or not slow" -n 2 tests/integration/test_drills.py

test-slow: $(STAMP) ## The long campaigns
	$(BIN)/pytest -q -m slow

differential: $(STAMP) ## Casbin with its index beside Casbin alone: 50 000 random requests, and planted faults
	$(BIN)/pytest -q -m "slow or not slow" tests/unit/access/test_index_differential.py tests/unit/access/test_access_differential.py

crash: $(STAMP) ## kill -9 everywhere, many times
	$(BIN)/pytest -q -m "slow or not slow" tests/faults

faults: $(STAMP) ## 100 000 entries under random kills; the publisher struck at every system call (needs strace)
	$(BIN)/pytest -q -m slow tests/faults/test_log_under_kills.py tests/faults/test_publisher_system_calls.py

RECORDS ?= 1300000
RULES ?= 100000

bench-delivery: $(STAMP) ## Intake and delivery beside bare copying, into benchmarks/results (RECORDS=… for a short run)
	$(BIN)/python benchmarks/intake.py --records $(RECORDS)
	$(BIN)/python benchmarks/delivery.py --records $(RECORDS)

bench-log: $(STAMP) ## Appending, acknowledging, proving, who saw whom, into benchmarks/results (minutes)
	$(BIN)/python benchmarks/log.py
	$(BIN)/python benchmarks/who_saw.py
	$(BIN)/python benchmarks/fsck.py

bench-counting: $(STAMP) ## Counting over the sealed birth dates of a district, into benchmarks/results (RECORDS=… for a short run)
	$(BIN)/python benchmarks/counting.py --records $(RECORDS)

# oso wants a cffi that our cryptography no longer takes: it has an environment of its own, by its own lock.
OSO := $(VENV)/oso/.installed
$(OSO): benchmarks/oso.lock | $(STAMP)
	@$(PYTHON) -m venv $(VENV)/oso
	@$(VENV)/oso/bin/pip --disable-pip-version-check install --quiet --require-hashes -r benchmarks/oso.lock
	@touch $@

bench-access: $(STAMP) $(OSO) ## Deciding beside pycasbin, cedarpy and oso, into benchmarks/results (RULES=… for a short run)
	$(BIN)/python benchmarks/access.py --rules $(RULES) --oso $(VENV)/oso/bin/python

bench-sealing: $(STAMP) ## Sealing, opening, links beside AESSIV, Tink, Fernet …, into benchmarks/results
	$(BIN)/python benchmarks/sealing.py
	$(BIN)/python benchmarks/rotation.py --records $(RECORDS)

full-scale: $(STAMP) ## The whole district once: simulate, intake, delivery, verifier (RECORDS=… for a short run)
	@$(BIN)/python benchmarks/full_scale.py --records $(RECORDS)

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(UV) ## Resolve the dependencies anew; what is pinned stays unless UPGRADE=1
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) \
	  --extra airflow --extra pkcs11 --extra dev -o requirements.lock pyproject.toml

clean: ## Remove what the targets made
	rm -rf $(VENV) .huanshu .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
