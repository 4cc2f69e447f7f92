# Every target sets up what it needs; a fresh machine needs Python 3.11, make and the package registries.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-fast up lint contracts bench chaos clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml uv.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	UV_PROJECT_ENVIRONMENT=$(VENV) $(VENV)/bin/uv sync --frozen --quiet --inexact --compile-bytecode
	$(RUN) -m compileall -q contracts services scripts # else each start compiles anew where Python may not write
	@touch $(STAMP)

setup: $(STAMP) ## install everything into .venv

demo: $(STAMP) ## the main job, end to end, in under a minute; writes build/demo.json
	$(RUN) -m scripts.demo

up: $(STAMP) ## keep the platform running for use by hand; Ctrl-C drains and stops it
	$(RUN) -m scripts.up

test: $(STAMP) ## every test; the Pub/Sub suites run when the official emulator can be started
	$(RUN) -m pytest -n 2 --dist worksteal

test-fast: $(STAMP) ## unit and contract tests only
	$(RUN) -m pytest -q tests/unit tests/contract

lint: $(STAMP) ## ruff, strict types, import rules, model end dates
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m scripts.model_dates

contracts: $(STAMP) ## stale exports, undecodable examples and incompatible changes fail
	$(RUN) -m scripts.contracts check

bench: $(STAMP) ## writes build/bench.json; under 10 minutes
	$(RUN) -m scripts.bench

chaos: $(STAMP) ## kills, outages and malformed messages on both brokers; writes build/chaos.json
	$(RUN) -m scripts.chaos

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
