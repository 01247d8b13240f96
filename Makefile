# Every target sets up what it needs in .venv, from PyPI, with what requirements*.lock say; nothing else is needed than
# this file's own make and a Python 3.11 or later with venv.

.DEFAULT_GOAL := help
.PHONY: help up test test-browser lint types bench torture scale check lock

# The first one that is new enough and can make environments (Debian keeps that in a package of its own).
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
		&& { echo "$$python"; break; }; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
# Most tests wait for processes or for Intercom, so twice as many as a small machine has cores run at a time; a file's
# tests stay together. `-n 0` in PYTEST_OPTIONS runs one after the other.
AT_ONCE := -n 4 --dist loadfile --no-loadscope-reorder
TORTURE_OPTIONS ?= --all
BENCH_OPTIONS ?=
SCALE_OPTIONS ?=

help:
	@echo "make up            run everything here, with a pretend Intercom"
	@echo "make test          all tests but those that need a browser"
	@echo "make test-browser  those; they want a Chromium on this machine"
	@echo "make lint types    style, imports, types"
	@echo "make check         all of the above but up"
	@echo "make bench         measure this product against the naive design   (BENCH_OPTIONS=--quick)"
	@echo "make torture       real processes, real faults, the books compared (TORTURE_OPTIONS='--faults 10')"
	@echo "make scale         a large workspace filled through kills and losses, and an hour of which nothing is heard"
	@echo "                   (SCALE_OPTIONS='--contacts 5000')"
	@echo "make lock          write requirements*.lock anew from pyproject.toml"

up: .venv/.for-use
	@exec $(BIN)/intercom-mirror up

test: .venv/.for-work
	$(BIN)/python -m pytest $(AT_ONCE) --ignore tests/browser $(PYTEST_OPTIONS)

test-browser: .venv/.for-work
	$(BIN)/python -m pytest tests/browser $(PYTEST_OPTIONS)

lint: .venv/.for-work
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: .venv/.for-work
	$(BIN)/mypy

check: lint types test test-browser

bench: .venv/.for-work
	$(BIN)/python -m bench $(BENCH_OPTIONS)

torture: .venv/.for-work
	$(BIN)/python -m tests.long.torture $(TORTURE_OPTIONS)

scale: .venv/.for-work
	$(BIN)/python -m tests.long.scale $(SCALE_OPTIONS)
	$(BIN)/python -m tests.long.scale --unheard 3600 $(SCALE_OPTIONS)

# Versions that still fit stay as they are; `make lock LOCK_OPTIONS=--upgrade` takes the newest ones.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate $(LOCK_OPTIONS)

lock: .venv/.for-work
	$(LOCK) --group build --output-file requirements.lock
	$(LOCK) --group dev --output-file requirements-dev.lock

# The stamps are older than a lock only after that lock changed. What serves for work serves for use too.
.venv/.for-use: requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.for-work: requirements-dev.lock requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes --requirement requirements-dev.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@ .venv/.for-use

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later with venv is needed and was not found (on Debian: apt-get install python3-venv)."; \
		echo "If it has another name, say so: make PYTHON=/path/to/python3"; exit 1; }
	@# Half an environment would look like a whole one the next time.
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
