# Each target installs what it needs into .venv, at the versions in requirements*.lock. Only make and a Python 3.11 or
# later with venv have to be present.

.DEFAULT_GOAL := help
.PHONY: help up test test-fast test-browser lint types check bench torture scale lock migration docs previous

# The first interpreter that is new enough and can create virtual environments (on Debian, venv is a separate package).
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
		&& { echo "$$python"; break; }; done)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
# Most tests wait for processes or for the emulator, so twice as many run at a time as a small machine has cores. The
# tests of one file run in the same process. `PYTEST_OPTIONS="-n 0"` runs one test after the other.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
# Branch coverage of the product's packages is measured by these tests: the laws would take twice as long, and the tests of
# processes start servers that it does not reach.
MEASURED := tests/unit tests/stories tests/house
TORTURE_OPTIONS ?= --all
BENCH_OPTIONS ?=
SCALE_OPTIONS ?=
# The release that `make previous` builds: the newest one in .ci/releases.
TAG ?= $(lastword $(shell sed -n 's/^\(v[^ ]*\) .*/\1/p' .ci/releases))

help:
	@echo "make up            run the product here, with the Intercom emulator"
	@echo "make test          all tests except those that need a browser, with branch coverage (TESTS=tests/unit)"
	@echo "make test-fast     unit tests and checks of the repository only; under a minute"
	@echo "make test-browser  the tests that need a browser; Chromium must be installed"
	@echo "make lint types    style, import contracts, types"
	@echo "make check         lint, types, test and test-browser"
	@echo "make bench         measure this product against the naive design     (BENCH_OPTIONS=--quick)"
	@echo "make torture       real processes, injected faults, every row compared (TORTURE_OPTIONS='--faults 10')"
	@echo "make scale         backfill a large workspace through crashes and losses, then reconcile an hour without"
	@echo "                   notifications                                     (SCALE_OPTIONS='--contacts 5000')"
	@echo "make lock          update requirements*.lock from pyproject.toml     (LOCK_OPTIONS=--upgrade)"
	@echo "make migration     write a migration for changed models              (NAME='add vip to contacts')"
	@echo "make docs          rewrite the pages about tables from the models"
	@echo "make previous      build an earlier release under .previous/         (TAG=v0.1.0)"

up: .venv/.for-use
	@exec $(BIN)/intercom-mirror up

ifdef TESTS
test: .venv/.for-work
	$(BIN)/python -m pytest $(PARALLEL) $(TESTS) $(PYTEST_OPTIONS)
else
test: .venv/.for-work
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report= $(MEASURED) $(PYTEST_OPTIONS)
	$(BIN)/python -m pytest $(PARALLEL) tests/laws tests/processes $(PYTEST_OPTIONS)
	$(BIN)/coverage report
endif

test-fast: .venv/.for-work
	$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/house $(PYTEST_OPTIONS)

test-browser: .venv/.for-work
	$(BIN)/python -m pytest tests/browser $(PYTEST_OPTIONS)

lint: .venv/.for-work
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house.long_code

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

# The pages that list tables and columns.
docs: .venv/.for-work
	$(BIN)/python -m tests.house.tables_page

migration: .venv/.for-work
	@$(BIN)/python -m tests.new_migration "$(NAME)"

# Source and environment of an earlier release, for tests of upgrades from it. A clone without tags knows the commit too.
previous: .venv/bin/python
	@commit=$$(sed -n 's/^$(TAG) //p' .ci/releases) && test -n "$$commit" || { \
		echo "$(TAG) is not in .ci/releases. Known releases: $$(sed -n 's/^\(v[^ ]*\) .*/\1/p' .ci/releases | xargs)"; exit 1; }; \
	directory=.previous/$(TAG); test -e $$directory/.ready && exit 0; \
	rm -rf $$directory && mkdir -p $$directory && git archive $$commit | tar -x -C $$directory && \
	$(abspath $(BIN))/python -m venv $$directory/.venv && cd $$directory && \
	.venv/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements.lock && \
	.venv/bin/python -m pip --quiet --disable-pip-version-check install --no-build-isolation --no-deps --editable . && \
	touch .ready
	@.previous/$(TAG)/.venv/bin/intercom-mirror --version

# Versions that still satisfy pyproject.toml are kept; LOCK_OPTIONS=--upgrade takes the newest ones.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate $(LOCK_OPTIONS)

lock: .venv/.for-work
	$(LOCK) --group build --output-file requirements.lock
	$(LOCK) --group dev --output-file requirements-dev.lock

# A stamp is older than its lock only after the lock changed. The environment for work also serves for use.
.venv/.for-use: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing dependencies into .venv (about a minute)"
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.for-work: requirements-dev.lock requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing development dependencies into .venv (about a minute)"
	$(PIP) --require-hashes --requirement requirements-dev.lock
	$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@ .venv/.for-use

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or later with venv was not found (on Debian: apt-get install python3-venv)."; \
		echo "If it has another name: make PYTHON=/path/to/python3"; exit 1; }
	@# An incomplete environment would look complete the next time.
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
